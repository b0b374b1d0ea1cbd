"""The folder of stored features: its place, its size limit, and removal."""

import math
import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from longtail.runs.locks import HeldError, locked
from longtail.types import InputError

FOLDER, LIMIT = "LONGTAIL_CACHE", "LONGTAIL_CACHE_GB"
"""Variables of the environment: the folder, and how much may lie in it."""
GIGABYTES = 10.0
USED = "used"
"""A file of each entry whose time says when it was last used."""
LOCK = "lock"
"""A file that the one process holds which adds to an entry."""


class Entry(NamedTuple):
    """Features of one view by one backbone under one set of settings.

    Attributes:
        folder: where they lie.
        size: bytes.
        used: when they were last used, in seconds since 1970.
    """

    folder: Path
    size: int
    used: float


def cache_folder() -> Path:
    """`features` in the folder that LONGTAIL_CACHE names, else in ~/.cache/longtail."""
    named = os.environ.get(FOLDER)
    return (Path(named).expanduser() if named else Path.home() / ".cache" / "longtail") / "features"


def limit() -> int:
    """How many bytes may lie there: LONGTAIL_CACHE_GB, else 10 GB.

    Raises:
        InputError: that variable is no positive number.
    """
    word = os.environ.get(LIMIT) or str(GIGABYTES)
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f"{LIMIT} = {word!r} is no size; give gigabytes, such as {GIGABYTES:g}")
    return int(number * 1e9)


def touch(folder: Path) -> None:
    """Note that an entry is used now."""
    (folder / USED).write_text(f"{time.time():.0f}\n", "utf-8")


def entries(root: Path | None = None) -> list[Entry]:
    """All stored features, the most recently used last."""
    place, found = root or cache_folder(), []
    for marker in place.glob(f"*/{USED}"):
        with suppress(OSError):  # removed meanwhile
            size = sum(file.stat().st_size for file in marker.parent.iterdir())
            found.append(Entry(marker.parent, size, marker.stat().st_mtime))
    return sorted(found, key=lambda entry: (entry.used, entry.folder.name))


def trim(keep: Collection[Path] = ()) -> list[Entry]:
    """Remove what was not used for the longest time until the rest is within the limit.

    Args:
        keep: folders that stay whatever they take.

    What a process adds to now stays too.

    Returns:
        What was removed.
    """
    found, most, removed = entries(), limit(), []
    taken = sum(entry.size for entry in found)
    for entry in found:
        if taken <= most:
            break
        if entry.folder not in keep and _remove(entry.folder):
            removed.append(entry)
            taken -= entry.size
    return removed


def remove_all() -> list[Entry]:
    """Remove all stored features but those that a process adds to now; a run that needs them computes them again.

    Returns:
        What was removed.
    """
    return [entry for entry in entries() if _remove(entry.folder)]


def _remove(folder: Path) -> bool:
    """Remove an entry, unless another process adds to it, whose rows would have no place."""
    try:
        with locked(folder / LOCK, ""):
            with suppress(FileNotFoundError):
                (folder / USED).unlink()  # what is left of a removal that was stopped is no entry
            shutil.rmtree(folder, ignore_errors=True)
    except HeldError:
        return False
    return True
