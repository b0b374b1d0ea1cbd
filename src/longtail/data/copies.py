"""Images that a set holds more than once, byte by byte: kept in one split, and said."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from longtail.data.dataset import Split, counted
from longtail.data.options import DataOptions
from longtail.machine import pass_on

_TAIL = 4096  # bytes at the end of a file; beginnings are alike in many
_SHOWN = 3  # classes whose copies are counted one by one


class Duplicates(NamedTuple):
    """Images of which one would do.

    Attributes:
        kind: "exact", the same bytes or pixels, or "near", which look alike.
        paths: N names.
        splits: N splits.
        classes: N classes.
        leak: positions of the two images in different splits that are most alike; None where all are in one split.
        conflict: positions of the two images with different labels that are most alike; None where all have one.
    """

    kind: Literal["exact", "near"]
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    leak: tuple[int, int] | None = None
    conflict: tuple[int, int] | None = None

    @classmethod
    def exact(cls, paths: Sequence[str], splits: Sequence[str], classes: Sequence[str]) -> "Duplicates":
        """Images that are the same, of which any two show what all do."""
        columns = tuple(paths), tuple(splits), tuple(classes)
        return cls("exact", *columns, _first_apart(splits), _first_apart(classes))

    @property
    def leaks(self) -> bool:
        """Whether it lies in several splits, so that a model is tested on what it was trained on."""
        return self.leak is not None

    @property
    def conflicts(self) -> bool:
        """Whether it has several labels, of which one alone can be right."""
        return self.conflict is not None

    def contents(self) -> dict[str, Any]:
        """The form it has in audit.json; of a leak and a conflict the two paths that show it."""

        def pair(positions: tuple[int, int] | None) -> list[str] | None:
            return None if positions is None else [self.paths[at] for at in positions]

        columns = {name: list(getattr(self, name)) for name in ("paths", "splits", "classes")}
        return {"kind": self.kind, **columns, "leak": pair(self.leak), "conflict": pair(self.conflict)}

    def shown(self, pair: tuple[int, int], what: Sequence[str]) -> str:
        """Two of its images with what is said of each, their splits or classes."""
        return " = ".join(f"{self.paths[at]} ({what[at]})" for at in pair)


def kept_together(groups: Sequence[str] | None, contents: NDArray[np.generic] | None) -> Sequence[str] | None:
    """Groups in which copies of an image stand together, and with all that their groups hold.

    Args:
        groups: N names, "" for an image by itself; None where there are none.
        contents: (N,) what each image is made of, equal for copies alone; None where that is not known.

    Returns:
        The groups as they are where there is no copy; else a name for each set of images that belong together.

    >>> kept_together(["a", "", "b", "b"], np.array([1, 2, 1, 3]))
    ['0', '1', '0', '0']
    """
    if contents is None or len(first := _first_rows(contents)) == len(np.unique(first)):
        return groups
    labels, rows = np.arange(len(first)), np.arange(len(first))
    link(labels, first, rows)
    if groups is not None:
        known: dict[str | int, int] = {}
        link(labels, np.array([known.setdefault(name or row, row) for row, name in enumerate(groups)]), rows)
    return [str(label) for label in labels.tolist()]


def link(
    labels: Int64[np.ndarray, " n"], one: Int64[np.ndarray, " k"], other: Int64[np.ndarray, " k"]
) -> None:
    """Give each pair of rows, and whatever is linked to either, the smallest of their labels, in place.

    >>> labels = np.arange(5)
    >>> link(labels, np.array([3, 1]), np.array([4, 3]))
    >>> labels.tolist()
    [0, 1, 2, 1, 1]
    """
    while (labels[one] != labels[other]).any():
        a, b = labels[one], labels[other]
        parent = np.arange(len(labels))
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while (parent[parent] != parent).any():
            parent = parent[parent]
        labels[:] = parent[labels]


def copies_in(parts: Mapping[str, Split], class_names: Sequence[str]) -> list[Duplicates]:
    """The sets of copies among loaded images; splits whose contents are not known are passed over.

    Args:
        parts: "train", "val" and "test" with their images.
        class_names: C names.
    """
    known = {name: split for name, split in parts.items() if split.contents is not None}
    contents = [split.contents for split in known.values() if split.contents is not None]
    if not contents:
        return []
    ids = [identity for split in known.values() for identity in split.ids]
    names = [name for name, split in known.items() for _ in split.ids]
    labels = [class_names[c] for split in known.values() for c in split.targets.tolist()]
    return [
        Duplicates.exact(*([column[row] for row in rows] for column in (ids, names, labels)))
        for rows in _copy_sets(np.concatenate(contents))
    ]


def copies_of(
    splits: Mapping[str, Split | None], class_names: Sequence[str], options: DataOptions
) -> tuple[list[str], list[str]]:
    """What to say of copies among loaded images; of a published set nothing is a fault, for nobody can change it.

    Args:
        splits: "train", "val" and "test" with their images, where there are any.
        class_names: C names.
        options: how they were loaded.

    Returns:
        As `say_copies`.
    """
    there = {name: split for name, split in splits.items() if split is not None}
    sizes = Counter(class_names[c] for split in there.values() for c in split.targets.tolist())
    divided = options.is_own and bool(options.group_copies) and options.validation > 0 and "val" in there
    said, wrong = say_copies(copies_in(there, class_names), sizes, divided=divided)
    return (said, wrong) if options.is_own else ([*said, *wrong], [])


def say_copies(
    found: Sequence[Duplicates], sizes: Mapping[str, int], *, divided: bool
) -> tuple[list[str], list[str]]:
    """What to say of sets of copies.

    Args:
        found: the sets.
        sizes: class -> its images.
        divided: images were divided into splits here, so that copies stayed together.

    Returns:
        What is no fault; and what makes scores or labels wrong.

    >>> say_copies([Duplicates.exact(["1.png", "2.png"], ["train"] * 2, "aa")], {"a": 9}, divided=True)[0]
    ['2 images are copies, byte by byte: 1 set (1.png = 2.png), kept in one split; copies count: a 9 (8 different)']
    """
    if not found:
        return [], []
    leaks = [one.shown(one.leak, one.splits) for one in found if one.leak]
    conflicts = [one.shown(one.conflict, one.classes) for one in found if one.conflict]
    kept = ", kept in one split" if divided and not leaks else ""
    such = " = ".join(found[0].paths[:2])
    images = sum(len(one.paths) for one in found)
    said = f"{counted(images, 'image')} are copies, byte by byte: {counted(len(found), 'set')} ({such}){kept}"
    if inflated := _inflated(found, sizes):
        said += f"; copies count: {inflated}"
    wrong = []
    if leaks:
        wrong.append(
            f"{counted(len(leaks), 'set')} of copies in several splits, so scores are too good: {leaks[0]}"
        )
    if conflicts:
        wrong.append(f"{counted(len(conflicts), 'set')} of copies with different labels: {conflicts[0]}")
    return [said], wrong


def same_files(files: Sequence[Path]) -> list[list[int]]:
    """Positions of files with the same bytes; of files of different sizes nothing is read.

    Args:
        files: those that cannot be read are passed over.
    """
    rows: Iterable[Sequence[int]] = [range(len(files))]
    for key in (_size, _tail, _whole):
        rows = [part for group in rows for part in _apart(group, files, key)]
    return sorted(list(group) for group in rows)


def _first_apart(values: Sequence[str]) -> tuple[int, int] | None:
    """The first two positions with different values."""
    other = next((at for at, value in enumerate(values) if value != values[0]), None)
    return None if other is None else (0, other)


def _first_rows(contents: NDArray[np.generic]) -> NDArray[np.int64]:
    """For each row the first one with the same content."""
    _, first, inverse = np.unique(contents, return_index=True, return_inverse=True)
    rows: NDArray[np.int64] = first[inverse]
    return rows


def _copy_sets(contents: NDArray[np.generic]) -> list[list[int]]:
    """The rows of each set of copies, in order."""
    first = _first_rows(contents)
    order = np.argsort(first, kind="stable")
    edges = np.flatnonzero(np.diff(first[order])) + 1
    return [rows.tolist() for rows in np.split(order, edges) if len(rows) > 1]


def _inflated(found: Sequence[Duplicates], sizes: Mapping[str, int]) -> str:
    """Images and different images of the classes with the most copies."""
    spare: Counter[str] = Counter()
    for one in found:
        spare.update(one.classes)
        spare.subtract(set(one.classes))
    most = sorted(+spare, key=lambda name: (-spare[name], name))
    said = [f"{name} {sizes[name]:,} ({sizes[name] - spare[name]:,} different)" for name in most[:_SHOWN]]
    more = f" and {counted(len(most) - _SHOWN, 'more class')}" if len(most) > _SHOWN else ""
    return ", ".join(said) + more


def _apart(rows: Sequence[int], files: Sequence[Path], key: Callable[[Path], object]) -> list[list[int]]:
    """Rows whose files agree in a key, where there are two or more."""
    found: Mapping[object, list[int]] = defaultdict(list)
    for row in rows:
        try:
            found[key(files[row])].append(row)
        except OSError as error:
            pass_on(error)
    return [group for group in found.values() if len(group) > 1]


def _size(file: Path) -> int:
    return file.stat().st_size


def _tail(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - _TAIL))
        return opened.read(_TAIL)


def _whole(file: Path) -> bytes:
    digest = sha256()
    with file.open("rb") as opened:
        while piece := opened.read(2**20):
            digest.update(piece)
    return digest.digest()
