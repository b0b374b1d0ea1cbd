"""Why a path names no file, as far as that can be seen: an address, other capitals, spaces or folders in front."""

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote


def why_missing(path: str, root: Path = Path()) -> str:
    r"""What to add to the message that a path does not exist, from a semicolon on; "" where no cause is seen.

    Args:
        path: as it is given.
        root: the folder that relative paths start from.

    >>> why_missing("https://host/a.png")
    '; images are read from this disk, not from addresses: download them, and give the files'
    >>> why_missing("a\\b.png")
    '; folders are divided by /, not by \\'
    """
    address = re.match(r"([a-z][a-z0-9+.-]+):/", path, re.IGNORECASE)
    if address and address[1].lower() == "file":
        return (
            f"; give a path and no address: {unquote(re.sub('^[a-zA-Z]+:(//(localhost)?(?=/))?', '', path))}"
        )
    if address:
        return "; images are read from this disk, not from addresses: download them, and give the files"
    if "\\" in path:
        return "; folders are divided by /, not by \\"
    bare = path.strip().strip("\"'").strip()
    place = os.path.join(root, bare)  # noqa: PTH118 any text
    found = _in_other_letters(place)
    if found == place and bare != path:
        return f"; it has spaces or quotes around it: {found} exists"
    if found is not None and found != place:
        return f"; it differs in capitals or in the form of letters: {found} exists"
    return _with_less(bare, root)


def _in_other_letters(place: str) -> str | None:
    """The path that exists and differs from one in capitals or the form of letters alone, if in anything."""
    if os.path.lexists(place):
        return place
    head, tail = os.path.split(place)
    above = _in_other_letters(head or os.curdir) if tail else None
    if above is None:
        return None
    inside: list[str] = []
    with suppress(OSError, ValueError):
        inside = sorted(name for name in os.listdir(above) if _letters(name) == _letters(tail))  # noqa: PTH208
    return os.path.join(above if head else "", inside[0]) if inside else None  # noqa: PTH118


def _letters(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _with_less(path: str, root: Path) -> str:
    """Folders in front that do not belong there: of another machine, or the root's own."""
    parts = PurePosixPath(path).parts
    for first in range(1, len(parts)):
        rest = os.path.join(*parts[first:])  # noqa: PTH118
        if os.path.lexists(os.path.join(root, rest)):  # noqa: PTH118
            return f"; {rest} exists there, so leave out the folders before it"
    return ""
