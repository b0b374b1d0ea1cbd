"""Images that look alike, found without comparing each with each."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt64
from numpy.typing import NDArray

DISTANCE = 7  # bits in which the hashes of two images that look alike may differ
ALIKE = 0.98  # least correlation of their thumbnails
FLAT = 3.0  # grey levels of deviation below which an image shows too little to be compared
_BANDS = 8  # one more than DISTANCE: of 8 bands of 8 bits, one must then be equal
_BLOCK = 1024  # hashes compared at a time with as many others
_BITS = np.array([number.bit_count() for number in range(2**16)], dtype=np.uint8)


def alike(
    hashes: UInt64[np.ndarray, " n"],
    thumbs: UInt8[np.ndarray, "n 256"],
    codes: Sequence[Int64[np.ndarray, " n"]] = (),
) -> list[list[int]]:
    """Sets of images that look alike; in each there is one that all others look like.

    Two images look alike where their hashes differ in at most DISTANCE bits and their thumbnails correlate with ALIKE
    or more; images of nearly one grey value look like nothing. From the first row on, an image that is in no set yet
    makes one with all those of its like that are in none, or with the one it is most like, where all are in one. So
    no chain of images that are alike one by one becomes a set, and an image that looks like another is in a set.

    Args:
        hashes: of N images.
        thumbs: of the same images.
        codes: what a set must not mix, such as split or class, as numbers of each image. An image that looks like
            one with another number is then in a set, a further one of two where need be, that has both.

    Returns:
        Rows of each set in order, the sets by their first row. An image may be in several.
    """
    rows = _with_like(hashes, np.flatnonzero(_deviation(thumbs) >= FLAT))
    sets = _stars(hashes, thumbs, rows)
    for numbers in codes:
        if len(np.unique(numbers[rows])) < 2:
            continue
        mixed = np.zeros(len(hashes), dtype=bool)
        for members in sets:
            mixed[members] |= len(np.unique(numbers[members])) > 1
        sets += _pairs_across(hashes, thumbs, rows, numbers, mixed)
    return [list(one) for one in sorted({tuple(one) for one in sets})]


def closest(thumbs: UInt8[np.ndarray, "n 256"], member: Bool[np.ndarray, "n c"]) -> tuple[int, int] | None:
    """The two rows without a common code whose thumbnails correlate most, the first of equals; None: no such two.

    Of more than 1,024 rows one of the two is among the first 1,024.

    Args:
        thumbs: of N images.
        member: which of C codes, such as splits or classes, each image has.
    """
    counts = member.astype(np.float32)
    apart = counts[:_BLOCK] @ counts.T == 0
    if not apart.any():
        return None
    values = _standard(thumbs)
    likeness = values[:_BLOCK] @ values.T / thumbs.shape[1]
    likeness[~apart] = -np.inf
    # Beyond four digits arithmetic differs from machine to machine.
    one, other = divmod(int(np.argmax(likeness.round(4))), len(member))
    return min(one, other), max(one, other)


def _with_like(hashes: UInt64[np.ndarray, " n"], rows: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " k"]:
    """Those of the rows whose hashes are near that of another."""
    found = np.zeros(len(hashes), dtype=bool)
    for upper, lower in _blocks(hashes, rows):
        asking = upper[~found[upper]]
        if len(asking):
            near = _distance(hashes[asking][:, None], hashes[lower][None]) <= DISTANCE
            near &= asking[:, None] != lower
            found[asking[near.any(axis=1)]] = True
    return np.flatnonzero(found)


def _stars(
    hashes: UInt64[np.ndarray, " n"], thumbs: UInt8[np.ndarray, "n 256"], rows: Int64[np.ndarray, " m"]
) -> list[list[int]]:
    """Sets around an image each."""
    buckets = [_bucketed(hashes, rows, band) for band in range(_BANDS)]
    keys = hashes.view(np.uint8).reshape(-1, _BANDS)
    if not np.little_endian:
        keys = keys[:, ::-1]
    free, sets = np.ones(len(hashes), dtype=bool), []
    for row in rows.tolist():
        if not free[row]:
            continue
        found = []
        for band, (order, edges) in enumerate(buckets):
            key = int(keys[row, band])
            others = order[edges[key] : edges[key + 1]]
            found.append(others[_distance(hashes[others], hashes[row]) <= DISTANCE])
        near = np.unique(np.concatenate(found))
        near = near[near != row]
        likeness = _likeness(thumbs, np.array([row]), near)[0]
        like = near[likeness >= ALIKE]
        free[row] = False
        if len(like):
            new = like[free[like]]
            if not len(new):
                new = near[[int(np.argmax(likeness.round(4)))]]
            free[new] = False
            sets.append(sorted([row, *new.tolist()]))
    return sets


def _pairs_across(
    hashes: UInt64[np.ndarray, " n"],
    thumbs: UInt8[np.ndarray, "n 256"],
    rows: Int64[np.ndarray, " m"],
    codes: Int64[np.ndarray, " n"],
    mixed: NDArray[np.bool_],
) -> list[list[int]]:
    """For each row that is not in a set with several codes, itself and the most alike row with another code."""
    best = np.full(len(hashes), -np.inf, dtype=np.float32)
    other = np.full(len(hashes), -1)
    for upper, lower in _blocks(hashes, rows):
        asking = upper[~mixed[upper]]
        near = codes[asking][:, None] != codes[lower]
        if not near.any():
            continue
        near &= _distance(hashes[asking][:, None], hashes[lower][None]) <= DISTANCE
        i, j = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(i):
            continue
        one, likeness = asking[i], _likeness(thumbs, asking[i], lower[j]).round(4)
        likeness[~near[np.ix_(i, j)]] = -np.inf
        value, match = likeness.max(axis=1), lower[j][likeness.argmax(axis=1)]
        better = (value > best[one]) | ((value == best[one]) & (match < other[one]))
        better &= value >= ALIKE
        best[one[better]], other[one[better]] = value[better], match[better]
    pairs = []
    for row in np.flatnonzero(other >= 0).tolist():
        if not mixed[row]:
            mixed[[row, other[row]]] = True
            pairs.append(sorted([row, int(other[row])]))
    return pairs


def _bucketed(
    hashes: UInt64[np.ndarray, " n"], rows: Int64[np.ndarray, " m"], band: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " 257"]]:
    """The rows by one byte of their hashes, and where those of each of its 256 values begin."""
    keys = (hashes[rows] >> np.uint64(8 * band)) & np.uint64(255)
    order = np.argsort(keys, kind="stable")
    return rows[order], np.searchsorted(keys[order], np.arange(257))


def _blocks(
    hashes: UInt64[np.ndarray, " n"], rows: Int64[np.ndarray, " m"]
) -> Iterator[tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]]:
    """Rows against rows, so that any two whose hashes have an equal byte meet, in both orders."""
    for band in range(_BANDS):
        order, edges = _bucketed(hashes, rows, band)
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            tiles = range(start, stop, _BLOCK)
            parts = [order[top : min(top + _BLOCK, stop)] for top in tiles]
            yield from ((upper, lower) for upper in parts for lower in parts)


def _distance(
    one: UInt64[np.ndarray, "*a"] | np.uint64, other: UInt64[np.ndarray, "*b"] | np.uint64
) -> NDArray[np.uint8]:
    """Number of bits in which hashes differ."""
    differing = one ^ other
    counts: NDArray[np.uint8] = _BITS[differing & np.uint64(0xFFFF)]
    for shift in (16, 32, 48):
        counts += _BITS[(differing >> np.uint64(shift)) & np.uint64(0xFFFF)]
    return counts


def _likeness(
    thumbs: UInt8[np.ndarray, "n 256"], one: Int64[np.ndarray, " a"], other: Int64[np.ndarray, " b"]
) -> Float32[np.ndarray, "a b"]:
    """Correlation of the thumbnails of rows with those of other rows."""
    values, parts = _standard(thumbs[one]), range(0, len(other), _BLOCK)
    found = [values @ _standard(thumbs[other[top : top + _BLOCK]]).T / thumbs.shape[1] for top in parts]
    return np.concatenate([np.zeros((len(one), 0), dtype=np.float32), *found], axis=1)


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
