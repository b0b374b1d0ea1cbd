"""Images that look alike, found without comparing each with each."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64, UInt8, UInt64
from numpy.typing import NDArray

DISTANCE = 7  # bits in which the hashes of two images that look alike may differ
ALIKE = 0.98  # least correlation of their thumbnails
FLAT = 3.0  # grey levels of deviation below which an image shows too little to be compared
_BANDS = 8  # one more than DISTANCE: of 8 bands of 8 bits, one must then be equal
_BLOCK = 1024  # hashes compared at a time with as many others
_PAIRS = 4096  # thumbnails compared at a time
_BITS = np.array([number.bit_count() for number in range(2**16)], dtype=np.uint8)


def alike(hashes: UInt64[np.ndarray, " n"], thumbs: UInt8[np.ndarray, "n 256"]) -> Int64[np.ndarray, " n"]:
    """Which images look alike: the smallest row that each is linked to, directly or through others.

    Two images are linked where their hashes differ in at most DISTANCE bits and their thumbnails correlate with ALIKE
    or more. Hashes are compared only where one of their 8 bytes is equal, which loses no pair; images of nearly one
    grey value are linked to nothing.

    Args:
        hashes: of N images.
        thumbs: of the same images.
    """
    labels = np.arange(len(hashes))
    shows = np.flatnonzero(_deviation(thumbs) >= FLAT)
    for band in range(_BANDS):
        keys = (hashes[shows] >> np.uint64(8 * band)) & np.uint64(255)
        order = np.argsort(keys, kind="stable")
        edges = np.flatnonzero(np.diff(keys[order])) + 1
        for rows in np.split(shows[order], edges):
            for one, other in _near(hashes, labels, rows):
                _link_alike(labels, thumbs, one, other)
    return labels


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


def _near(
    hashes: UInt64[np.ndarray, " n"], labels: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " m"]
) -> Iterator[tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]]:
    """Pairs among `rows` that are not linked yet and whose hashes differ in few bits, a block at a time."""
    for top in range(0, len(rows), _BLOCK):
        upper = rows[top : top + _BLOCK]
        for left in range(top, len(rows), _BLOCK):
            lower = rows[left : left + _BLOCK]
            apart = labels[upper][:, None] != labels[lower][None]
            if apart.any():
                apart &= _distance(hashes[upper][:, None], hashes[lower][None]) <= DISTANCE
                i, j = np.nonzero(np.triu(apart) if left == top else apart)
                yield upper[i], lower[j]


def _distance(one: UInt64[np.ndarray, "a 1"], other: UInt64[np.ndarray, "1 b"]) -> UInt8[np.ndarray, "a b"]:
    """Number of bits in which hashes differ."""
    differing = one ^ other
    counts: NDArray[np.uint8] = _BITS[differing & np.uint64(0xFFFF)]
    for shift in (16, 32, 48):
        counts += _BITS[(differing >> np.uint64(shift)) & np.uint64(0xFFFF)]
    return counts


def _link_alike(
    labels: Int64[np.ndarray, " n"],
    thumbs: UInt8[np.ndarray, "n 256"],
    one: Int64[np.ndarray, " k"],
    other: Int64[np.ndarray, " k"],
) -> None:
    """Link those pairs whose thumbnails agree too; of pairs that are linked already no thumbnail is read."""
    while len(one):
        a, b = one[:_PAIRS], other[:_PAIRS]
        agree = (_standard(thumbs[a]) * _standard(thumbs[b])).mean(axis=1) >= ALIKE
        link(labels, a[agree], b[agree])
        one, other = one[_PAIRS:], other[_PAIRS:]
        fresh = labels[one] != labels[other]
        one, other = one[fresh], other[fresh]


def _deviation(thumbs: UInt8[np.ndarray, "n 256"]) -> NDArray[np.float32]:
    """Standard deviation of each thumbnail, without a copy of them all."""
    mean = thumbs.mean(axis=1, dtype=np.float32)
    square = np.einsum("ij,ij->i", thumbs, thumbs, dtype=np.float32) / thumbs.shape[1]
    deviation: NDArray[np.float32] = np.sqrt(np.maximum(square - mean**2, 0))
    return deviation


def _standard(thumbs: UInt8[np.ndarray, "k 256"]) -> np.ndarray:
    """Thumbnails with mean 0 and deviation 1."""
    values = thumbs.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= values.std(axis=1, keepdims=True)
    return values
