"""Images that a set holds more than once, or that look alike."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from longtail.data.audit.look import Look
from longtail.data.copies import Duplicates, link
from longtail.data.fingerprint import Fingerprints
from longtail.data.near import alike, closest


def find_duplicates(
    looks: Sequence[Look], paths: Sequence[str], parts: Sequence[str], classes: Sequence[str]
) -> list[Duplicates]:
    """Sets of images that are the same, and of images that look alike.

    Exact: the same bytes, or the same pixels where all were decoded. Near: see `alike`. Each finding is said once: of
    exact copies, the first stands for all of them in a near set, with the splits and labels of all. So a near set
    leaks or conflicts only where that is more than what the exact sets say.

    Args:
        looks: what is known of each of N images.
        paths: N names.
        parts: N splits.
        classes: N classes.
    """
    same = np.arange(len(looks))
    for digests in ((one.content for one in looks), (one.pixels for one in looks)):
        _link_equal(same, digests)

    def chosen(rows: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        one, two, three = (tuple(column[row] for row in rows) for column in (paths, parts, classes))
        return one, two, three

    exact = _together(same)
    copies = {row: rows for rows in exact for row in rows}
    found = [Duplicates.exact(*chosen(rows)) for rows in exact]
    hashes, thumbs, *_ = Fingerprints.of(one.fingerprint for one in looks)
    codes = [_codes(parts), _codes(classes)]
    for rows in _without_copies(alike(hashes, thumbs, codes), same):
        owners = [copies.get(row, [row]) for row in rows]
        pairs = (_apart(thumbs[rows], [set(numbers[own].tolist()) for own in owners]) for numbers in codes)
        found.append(Duplicates("near", *chosen(rows), *pairs))
    return found


def _without_copies(sets: Sequence[Sequence[int]], same: NDArray[np.int64]) -> list[list[int]]:
    """Sets of rows with the first of equal images alone, if that leaves several; none is a subset of another."""
    first = dict[tuple[int, ...], None]()
    for rows in sets:
        _, at = np.unique(same[rows], return_index=True)
        if len(at) > 1:
            first[tuple(rows[position] for position in sorted(at.tolist()))] = None
    among: dict[int, list[set[int]]] = defaultdict(list)
    for rows in first:
        for row in rows:
            among[row].append(set(rows))
    return [list(rows) for rows in first if not any(set(rows) < other for other in among[rows[0]])]


def _apart(thumbs: NDArray[np.uint8], codes: Sequence[set[int]]) -> tuple[int, int] | None:
    """Positions of the two images most alike that have no code in common, their copies counted."""
    kinds = sorted(set().union(*codes))
    return closest(thumbs, np.array([[kind in own for kind in kinds] for own in codes], dtype=bool))


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each name."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def _link_equal(labels: Int64[np.ndarray, " n"], digests: Iterable[bytes]) -> None:
    first: dict[bytes, int] = {}
    rows = np.array([first.setdefault(digest, row) for row, digest in enumerate(digests)], dtype=np.int64)
    link(labels, rows, np.arange(len(rows)))


def _together(labels: NDArray[np.int64]) -> list[list[int]]:
    """The rows of each label that several rows share."""
    order = np.argsort(labels, kind="stable")
    edges = np.flatnonzero(np.diff(labels[order])) + 1
    return [part.tolist() for part in np.split(order, edges) if len(part) > 1]
