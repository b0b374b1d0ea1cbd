"""Images that a set holds more than once, or that look alike."""

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

    Exact: the same bytes, or the same pixels where all were decoded. Near: see `alike`; sets of exact copies alone
    are not listed again.

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

    found = [Duplicates.exact(*chosen(rows)) for rows in _together(same)]
    hashes, thumbs, *_ = Fingerprints.of(one.fingerprint for one in looks)
    codes = [_codes(parts), _codes(classes)]
    for rows in alike(hashes, thumbs, codes):
        if len(np.unique(same[rows])) > 1:
            leak, conflict = (closest(thumbs[rows], numbers[rows]) for numbers in codes)
            found.append(Duplicates("near", *chosen(rows), leak, conflict))
    return found


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
