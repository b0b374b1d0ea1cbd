"""`longtail data split`: a set whose images are files becomes a table with a split for each image."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.csv_text import csv_lines
from longtail.data.assigning import TEST, TRAIN, VAL, assign, far_from_wanted, wanted_of
from longtail.data.copies import Duplicates, same_files, say_copies
from longtail.data.dataset import counted
from longtail.data.fingerprint import Fingerprints
from longtail.data.grouping import group_names, said_of_lone, said_of_spanning
from longtail.data.listing import PARTS
from longtail.data.name_groups import NameGroups, find_name_groups
from longtail.data.options import TwoLabels
from longtail.data.pool import Pool, pool_of
from longtail.data.related import find_related
from longtail.data.rows import ordered
from longtail.text_file import encode
from longtail.types import InputError


@dataclass(frozen=True)
class Division:
    """A set divided into splits; of the N images all can be read.

    Attributes:
        paths: N files, relative to the table's folder.
        labels: N classes.
        parts: N of "train", "val" and "test".
        groups: N groups, "" for an image by itself; None where there are none.
        counts: class -> its images in train, val and test.
        not_evaluated: class without a test image (without a validation image where no test split is wanted) -> why.
        below: class -> its test images, where they are fewer than asked for.
        missing: files that do not exist and were left out.
        unreadable: (name, reason) of files that cannot be decoded and were left out.
        said: how the source was read, and what was odd about it.
        grouped_by: where the groups come from, in words.
        name_groups: groups that file names seem to hold and this divides, where there are none and nothing was said of
            them.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...] | None
    counts: Mapping[str, tuple[int, int, int]]
    not_evaluated: Mapping[str, str]
    below: Mapping[str, int]
    missing: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    said: tuple[str, ...]
    grouped_by: str | None
    name_groups: NameGroups | None

    def write(self, out: Path) -> None:
        """Write the table, from which `train` takes the splits."""
        columns = {"path": self.paths, "label": self.labels, "split": self.parts}
        if self.groups is not None:
            columns["group"] = self.groups
        with out.open("wb") as file:
            file.writelines(map(encode, csv_lines((tuple(columns), *zip(*columns.values(), strict=True)))))


def divide(
    path: Path,
    folder: Path,
    *,
    test: float = 0.2,
    val: float = 0.0,
    min_test: int = 1,
    group_by: str | None = None,
    seed: int = 0,
    root: Path | None = None,
    again: bool = False,
    two_labels: TwoLabels = "refuse",
    group_copies: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Division:
    """Divide a set into train, validation and test, class by class; see `assign` for how.

    Every image is decoded once, to leave out what cannot be read and to find those that look alike.

    Args:
        path: class folders, a table, lists or annotations.
        folder: where the table is to lie; its paths start from there.
        test: share of each class, in [0, 1).
        val: share of each class, in [0, 1); both together leave something to train on.
        min_test: test images wanted of each class, as far as these are no more than half of it.
        group_by: `folder:DEPTH`, `column:NAME` or `regex:PATTERN`, see `group_names`. Default: the table's column
            `group`, where it has one.
        seed: >= 0.
        root: folder that the paths of a table, lists or annotations start from. Default: the one it lies in.
        again: where the set has splits already, divide all of its images again.
        two_labels: what becomes of images with two labels or more, see `DataOptions`.
        group_copies: keep images with the same bytes, near duplicates and bursts in one split, see `find_related`.
        progress: called with the number of images seen and of all.

    Raises:
        InputError: shares that do not fit, images that are no files, a set that has splits already, fewer than two
            classes, an image without a group, or no class that could be tested.
    """
    _check_shares(test, val, min_test)
    there, missing = pool_of(path, root, two_labels, again=again).existing()
    pool, prints, unreadable = there.readable(progress)
    names = _classes(path, pool.labels, len(unreadable))
    groups = pool.groups if group_by is None else tuple(group_names(group_by, pool.ids, pool.columns))
    position = {name: c for c, name in enumerate(names)}
    targets = np.array([position[label] for label in pool.labels], dtype=np.int64)
    copies = same_files(pool.files)
    together, alike = _related(pool, groups, copies, targets, prints) if group_copies else (groups, [])
    parts = assign(targets, len(names), test=test, val=val, min_test=min_test, groups=together, seed=seed)
    table = np.stack(
        [np.bincount(targets[parts == p], minlength=len(names)) for p in (TRAIN, VAL, TEST)], axis=1
    )
    by = pool.grouped_by if group_by is None else f"the rule {group_by}"
    if not table[:, [VAL, TEST]].any():
        raise _nothing_held_out(path, together is None, None if groups is None else by)
    counts = {name: (int(a), int(b), int(c)) for name, (a, b, c) in zip(names, table, strict=True)}
    return Division(
        paths=_relative(pool.files, folder.resolve()),
        labels=pool.labels,
        parts=tuple(PARTS[part] for part in parts.tolist()),
        groups=groups,
        counts=counts,
        not_evaluated=_not_evaluated(
            counts, pool.labels, together, TEST if test else VAL, copies_alone=groups is None
        ),
        below={name: n[TEST] for name, n in counts.items() if test and 0 < n[TEST] < min_test},
        missing=missing,
        unreadable=unreadable,
        said=(
            *pool.said,
            *said_of_lone(group_by or "", groups or ()),
            *said_of_spanning(groups or (), pool.labels if groups else ()),
            *_said_of_copies(pool, copies, parts, kept=group_copies),
            *alike,
            *_far(names, targets, together, table, wanted_of(table.sum(axis=1), test, val, min_test)[0]),
        ),
        grouped_by=by,
        name_groups=find_name_groups(pool.ids, pool.labels, parts != TRAIN) if groups is None else None,
    )


def _classes(path: Path, labels: Sequence[str], unreadable: int) -> Sequence[str]:
    names = ordered(labels)
    if len(names) < 2:
        bad = f"; {counted(unreadable, 'image')} cannot be read" if unreadable else ""
        raise InputError(
            f"{path} has images of {counted(len(names), 'class')}{bad}; a split needs two classes"
        )
    return names


def _relative(files: Sequence[Path], base: Path) -> tuple[str, ...]:
    return tuple(Path(os.path.relpath(file.absolute(), base)).as_posix() for file in files)


def _nothing_held_out(path: Path, alone: bool, by: str | None) -> InputError:
    why = "one image" if alone else "one group of images or copies, or is needed for another class"
    way = "" if by is None else f" (groups by {by}; without them: --group-by none)"
    return InputError(f"nothing of {path} can be held out: every class has {why}; choose other groups{way}")


def _far(
    names: Sequence[str],
    targets: NDArray[np.int64],
    groups: Sequence[str] | None,
    table: NDArray[np.int64],
    wanted: NDArray[np.int64],
) -> list[str]:
    """Of the classes whose test or validation images are far from the numbers that were wanted."""
    if groups is None:
        return []
    nouns = {TEST: "test", VAL: "validation"}
    return [
        line
        for p, noun in nouns.items()
        for line in far_from_wanted(names, targets, groups, wanted[p], table[:, p], noun)
    ]


def _said_of_copies(
    pool: Pool, copies: Sequence[Sequence[int]], parts: NDArray[np.int64], *, kept: bool
) -> list[str]:
    found = [
        Duplicates.exact(
            [pool.ids[row] for row in rows],
            [PARTS[parts[row]] for row in rows],
            [pool.labels[row] for row in rows],
        )
        for rows in copies
    ]
    said, wrong = say_copies(found, Counter(pool.labels), divided=kept)
    return [*said, *wrong]


def _related(
    pool: Pool,
    groups: Sequence[str] | None,
    copies: Sequence[Sequence[int]],
    targets: NDArray[np.int64],
    prints: Fingerprints,
) -> tuple[Sequence[str] | None, list[str]]:
    """Groups that keep together what is related, and what to say of that."""
    contents = np.arange(len(pool.files))
    for rows in copies:
        contents[rows] = rows[0]
    related = find_related(groups, contents, prints, pool.ids, targets)
    return related.groups, related.said(pool.ids)


def _check_shares(test: float, val: float, min_test: int) -> None:
    if not (0 <= test < 1 and 0 <= val < 1 and 0 < test + val < 1):
        raise InputError(
            f"--test {test:g} and --val {val:g} leave nothing for a split; give shares of 1, such as 0.2"
        )
    if min_test < 0:
        raise InputError(f"--min-test {min_test} does not fit; give a number of images, 0 or more")


def _not_evaluated(
    counts: Mapping[str, tuple[int, int, int]],
    labels: Sequence[str],
    groups: Sequence[str] | None,
    evaluated: int,
    *,
    copies_alone: bool,
) -> dict[str, str]:
    """Class without an image to evaluate on -> why."""
    groups_of: dict[str, set[str | int]] = {name: set() for name in counts}
    for row, label in enumerate(labels):
        groups_of[label].add((groups[row] if groups is not None else "") or row)

    def why(name: str) -> str:
        if sum(counts[name]) == 1:
            return "one image"
        if len(groups_of[name]) == 1:
            return f"{sum(counts[name])} {'copies of one image' if copies_alone else 'images in one group'}"
        return "too few images" if groups is None else f"{len(groups_of[name])} groups that do not divide"

    return {name: why(name) for name, images in counts.items() if images[evaluated] == 0}
