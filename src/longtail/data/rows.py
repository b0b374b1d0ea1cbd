"""Rows that name a file and its class become a source: what tables, file lists and annotations have in common."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.data.completing import completed
from longtail.data.dataset import counted
from longtail.data.left_out import EXAMPLES, LeftOut
from longtail.data.listing import PARTS, Listing, Source, is_text
from longtail.data.missing import why_missing
from longtail.data.options import TwoLabels
from longtail.text_file import as_windows
from longtail.types import InputError


class NoFileError(InputError):
    """None of the images that a split names exists."""


TORN = "with two labels or more"  # the reason for which images are left out


@dataclass(frozen=True)
class Rows:
    """What a table says, a value a row in each column; everything is text.

    Attributes:
        origin: the file or folder it was read from, for messages.
        paths: (N,) files, relative to the root or absolute.
        labels: (N,) classes.
        places: (N,) where each row stands, such as "line 7 of photos.csv".
        parts: (N,) "train", "val" or "test"; None where there are no splits.
        groups: (N,) groups; None where there are none.
        columns: name -> (N,) of all columns.
        reading: how it was read where there was a choice.
        remarks: what a person should know of it.
        grouped_by: where the groups come from, such as "the column group of photos.csv".
        left_out: images that it names and that are no rows, by reason.
    """

    origin: Path
    paths: Sequence[str]
    labels: Sequence[str]
    places: Sequence[str]
    parts: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reading: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    grouped_by: str | None = None
    left_out: tuple[LeftOut, ...] = ()


def part_in_name(file: Path) -> str | None:
    """The split that a file's name speaks of: `ImageNet_LT_train.txt` and `train2018.json` are train."""
    words = "".join(letter if letter.isalpha() else " " for letter in file.stem.lower()).split()
    return next((part for word in words for part in PARTS if word.startswith(part)), None)


def files_of_parts(folder: Path, pattern: str) -> dict[str, list[Path]]:
    """Part -> the files of a folder whose names match and speak of it."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob(pattern)):
        part = part_in_name(file)
        if part is not None and file.is_file() and not file.name.startswith("."):
            found[part].append(file)
    return dict(found)


def single(files: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
    """The one file of each split.

    Raises:
        InputError: two for one split.
    """
    for part, several in files.items():
        if len(several) > 1:
            names = " and ".join(file.name for file in several[:2])
            raise InputError(
                f"{several[0].parent} has {names}, both for {part}; remove one, or give the one to read by its name"
            )
    return {part: files[part][0] for part in PARTS if part in files}


def source_of_rows(rows: Rows, root: Path, two_labels: TwoLabels = "refuse") -> Source:
    """The source that rows describe; a row said twice counts once.

    Args:
        rows: the rows.
        root: the folder that relative paths start from.
        two_labels: what becomes of images with two labels or more, see `DataOptions`.

    Raises:
        InputError: no rows, a file with two labels, splits or groups, or no file of a split exists.
    """
    root = root.absolute()
    if not rows.paths:
        raise InputError(f"{rows.origin} names no image; give a row for each")
    paths, said = completed(rows.paths, rows.places, root)
    rows = replace(
        rows, paths=paths, reading=(*rows.reading, *(f"{rows.origin.name}: {one}" for one in said))
    )
    kept, repeated, torn = _distinct(rows, root, two_labels)
    remarks = [*rows.remarks]
    if repeated:
        remarks.append(
            f"{repeated:,} of {len(rows.paths):,} rows of {rows.origin} repeat another and count once"
        )
    parts = np.array(rows.parts if rows.parts is not None else ["train"] * len(rows.paths))[kept]
    listings = {
        part: _listing(rows, kept[parts == part], root, part) for part in PARTS if np.any(parts == part)
    }
    return Source(
        listings.get("train"), listings.get("val"), listings.get("test"), is_flat=rows.parts is None,
        remarks=tuple(remarks), reading=rows.reading, left_out=(*rows.left_out, *torn),
        grouped_by=rows.grouped_by,
    )  # fmt: skip


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels in natural order, which is that of the classes whatever the source.

    >>> ordered(["10", "9", "img10", "img2", "09", "a"])
    ('09', '9', '10', 'a', 'img2', 'img10')
    """
    return tuple(sorted(set(labels), key=natural))


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """The key that sorts names as text, but digits in the same place as one number; 01 comes before 1."""
    runs = re.findall(r"[0-9]+|[^0-9]", name)
    digits = [run.lstrip("0") if run[0] in "0123456789" else None for run in runs]
    key = [
        (ord(run), 0, "") if number is None else (ord("0"), len(number), number)
        for run, number in zip(runs, digits, strict=True)
    ]
    return key, name


def _distinct(
    rows: Rows, root: Path, two_labels: TwoLabels
) -> tuple[NDArray[np.int64], int, tuple[LeftOut, ...]]:
    """The first row of each file, how many rows repeat one, and the images that have two labels."""
    first: dict[str, int] = {}
    at = np.array([
        first.setdefault(os.path.normpath(os.path.join(root, path)), row)  # noqa: PTH118
        for row, path in enumerate(rows.paths)
    ])  # fmt: skip
    again = np.flatnonzero(at != np.arange(len(at))).tolist()
    torn = _disagreeing(rows.labels, at, again)
    if torn and two_labels == "refuse":
        raise _refused(
            rows, "label", torn, "; remove rows, or leave these images out with data.two_labels=leave_out "
            "(train: --set data.two_labels=leave_out, data split and data pack: --two-labels leave_out)",
        )  # fmt: skip
    for kind, values in (("part", rows.parts), ("group", rows.groups)):
        found = {} if values is None else _disagreeing(values, at, again)
        if found := {one: other for one, other in found.items() if one not in torn}:
            raise _refused(rows, kind, found, "; an image needs one, so remove rows")
    kept = np.array([row for row in first.values() if row not in torn], dtype=np.int64)
    if not len(kept):
        raise InputError(f"every image of {rows.origin} has two labels or more; give some that have one")
    repeated = sum(at[row] not in torn for row in again)
    if not torn:
        return kept, repeated, ()
    examples = [f"{rows.paths[a]} ({rows.labels[a]} and {rows.labels[b]})" for a, b in torn.items()]
    return kept, repeated, (LeftOut(TORN, len(torn), tuple(examples[:EXAMPLES]), noun="image"),)


def _disagreeing(values: Sequence[str], at: NDArray[np.int64], again: Sequence[int]) -> dict[int, int]:
    """The first row of each file that has two values -> the first row with the other."""
    found: dict[int, int] = {}
    for row in again:
        if values[at[row]] != values[row]:
            found.setdefault(int(at[row]), row)
    return found


def _refused(rows: Rows, kind: str, found: Mapping[int, int], remedy: str) -> InputError:
    values = {"label": rows.labels, "part": rows.parts, "group": rows.groups}[kind] or ()
    examples = [
        f"{rows.paths[one]} has two {kind}s: {values[one]!r} ({rows.places[one]}) and {values[other]!r} "
        f"({rows.places[other]})"
        for one, other in list(found.items())[:EXAMPLES]
    ]
    count = counted(len(found), "image")
    return InputError(
        f"{count} of {rows.origin} with two {kind}s or more, such as {examples[0]}{remedy}", examples[1:]
    )


def _listing(rows: Rows, kept: NDArray[np.int64], root: Path, part: str) -> Listing:
    wanted = kept.tolist()
    paths = tuple(rows.paths[row] for row in wanted)
    labels = [rows.labels[row] for row in wanted]
    _refuse_all_missing(rows.origin, paths, root, part)
    names = ordered(labels)
    position = {name: c for c, name in enumerate(names)}
    return Listing(
        class_names=names,
        targets=np.array([position[label] for label in labels], dtype=np.int64),
        ids=paths,
        fetch=lambda chosen: (root / paths[row] for row in chosen),
        on_disk=lambda row: root / paths[row],
        groups=None if rows.groups is None else tuple(rows.groups[row] for row in wanted),
        columns={name: tuple(values[row] for row in wanted) for name, values in rows.columns.items()},
    )


def _refuse_all_missing(origin: Path, paths: Sequence[str], root: Path, part: str) -> None:
    if any(os.path.exists(root / path) for path in paths):  # noqa: PTH110
        return
    hint = why_missing(paths[0], root)
    if not all(map(is_text, paths)):
        hint += f"; {origin} is no UTF-8 text, so save it as UTF-8 (in Excel: CSV UTF-8)"
    first = as_windows(str(root / paths[0]))
    raise NoFileError(
        f"none of {counted(len(paths), f'{part} image')} that {origin} names exists, such as {first}{hint}; "
        f"paths start from {root}; name another folder (train: --set data.root=DIR, data: --root DIR)"
    )
