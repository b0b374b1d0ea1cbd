"""Images that cannot be read: how they are passed on, and what to say of them."""

from longtail.data.dataset import counted
from longtail.data.repairing import REPAIRED
from longtail.printable import printable
from longtail.types import InputError

Unreadable = list[tuple[str, str]]
"""(path, reason) of each."""


def unreadable_error(bad: Unreadable) -> InputError:
    """What to say of images that cannot be read."""
    noun = "image" if len(bad) == 1 else "images"
    return InputError(f"{len(bad)} {noun} cannot be read", unreadable_lines(bad))


def unreadable_lines(bad: Unreadable, shown: int = 20) -> list[str]:
    """The first of them, each with its reason on one line: what cannot be printed of a name is written out."""
    lines = [f"{printable(path)} ({reason})" for path, reason in bad[:shown]]
    return [*lines, f"and {len(bad) - shown} more"] if len(bad) > shown else lines


def repaired_lines(found: Unreadable) -> list[str]:
    """What to say of images that are damaged beside their pixels and used; nothing where there are none."""
    if not found:
        return []
    return [f"{counted(len(found), 'image')} {REPAIRED}:", *(f"  {line}" for line in unreadable_lines(found))]
