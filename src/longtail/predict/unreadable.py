"""Images that cannot be read: how they are passed on, and what to say of them."""

from collections.abc import Sequence
from pathlib import Path

from longtail.csv_text import csv_text
from longtail.data.dataset import counted
from longtail.data.repairing import REPAIRED
from longtail.printable import printable
from longtail.text_file import encode
from longtail.types import InputError

Unreadable = list[tuple[str, str]]
"""(path, reason) of each."""


_NAMED = 3  # in the message itself


def unreadable_error(bad: Unreadable) -> InputError:
    """What to say of images that cannot be read: the first by name, the others in further lines."""
    lines, one = unreadable_lines(bad), len(bad) == 1
    more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
    remedy = f"leave {'it' if one else 'them'} out, or give {'a sound one' if one else 'sound ones'}"
    return InputError(f"{_head(bad)}: {', '.join(lines[:_NAMED])}{more}; {remedy}", lines[_NAMED:])


def unreadable_warning(bad: Unreadable, outcome: str) -> str:
    """The same on one line, where others could be read; `outcome` is what became of these."""
    return f"{_head(bad)}: {', '.join(unreadable_lines(bad))}; {outcome}"


def _head(bad: Unreadable) -> str:
    return f"{counted(len(bad), 'image')} cannot be read"


def unreadable_lines(bad: Unreadable, shown: int = 20) -> list[str]:
    """The first of them, each with its reason on one line: what cannot be printed of a name is written out."""
    lines = [f"{printable(path)} ({reason})" for path, reason in bad[:shown]]
    return [*lines, f"and {len(bad) - shown} more"] if len(bad) > shown else lines


def repaired_lines(found: Unreadable) -> list[str]:
    """What to say of images that are damaged beside their pixels and used; nothing where there are none."""
    if not found:
        return []
    return [f"{counted(len(found), 'image')} {REPAIRED}:", *(f"  {line}" for line in unreadable_lines(found))]


def write_unreadable(out: Path, bad: Sequence[tuple[str, str]]) -> None:
    """List them in a CSV file."""
    out.write_bytes(encode(csv_text([("path", "reason"), *bad])))
