"""Paths of tables and lists that lack the ending of a file's name, as ids of images do."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from longtail.data.formats import SUFFIXES
from longtail.types import InputError


def completed(paths: Sequence[str], places: Sequence[str], root: Path) -> tuple[list[str], list[str]]:
    """The paths, those without an image's ending completed to the one file that fits.

    Args:
        paths: relative to the root, or absolute.
        places: where each of them stands, for messages.
        root: the folder that relative paths start from.

    Returns:
        The paths, unchanged where nothing fits, and what to say of those that changed.

    Raises:
        InputError: several files fit.
    """
    inside: dict[str, dict[str, list[str]]] = {}
    found = list(paths)
    changed = []
    for row, path in enumerate(paths):
        if _has_ending(path):
            continue
        fitting = _fitting(os.path.join(root, path), inside)  # noqa: PTH118
        if len(fitting) > 1:
            raise InputError(f"{places[row]}: {path} could be {' or '.join(fitting[:3])}; write the ending")
        if fitting and not path.endswith(fitting[0]):
            found[row] = os.path.join(os.path.dirname(path), fitting[0])  # noqa: PTH118, PTH120
            changed.append(row)
    if not changed:
        return found, []
    one = changed[0]
    return found, [
        f"{len(changed):,} of {len(paths):,} paths completed, such as {paths[one]} to {found[one]}"
    ]


def _fitting(path: str, inside: dict[str, dict[str, list[str]]]) -> list[str]:
    """The file of that name, else those of that name and an image's ending."""
    folder, name = os.path.split(path)
    if folder not in inside:
        inside[folder] = _files(folder)
    return inside[folder].get(name, [])


def _files(folder: str) -> dict[str, list[str]]:
    """Name, and name without an image's ending, -> the files that it can mean."""
    names: list[str] = []
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.is_dir())
    stems: dict[str, list[str]] = {}
    for name in names:
        if _has_ending(name):
            stems.setdefault(os.path.splitext(name)[0], []).append(name)  # noqa: PTH122
    return stems | {name: [name] for name in names}


def _has_ending(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122
