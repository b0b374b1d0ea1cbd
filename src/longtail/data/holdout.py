"""The validation part: images of each class held out of training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.data.assigning import VAL, assign

HELD_OUT = 0.2  # of each class, where a set of the user's own has nothing to test on
_STREAM = 0x686F6C64  # keeps these draws apart from others that use the same seed


def hold_out(
    targets: NDArray[np.int64],
    num_classes: int,
    fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows into train and validation, class by class, as a function of the seed alone.

    Without groups the draws have a stream of their own, not that of `assign`: with another, a seed would hold out
    other images than it did in the runs that were measured.

    Args:
        targets: (N,) class of each row, in [0, C).
        num_classes: C.
        fraction: share of each class held out, rounded to whole images, in [0, 1); one image always stays.
        seed: >= 0.
        groups: N names, "" for an image by itself; whole groups are held out, see `assign`.

    Returns:
        The sorted rows of train and of validation.
    """
    if groups is not None and fraction > 0:
        parts = assign(targets, num_classes, val=fraction, groups=groups, seed=seed)
        return np.flatnonzero(parts != VAL), np.flatnonzero(parts == VAL)
    held = []
    for c in range(num_classes):
        rows = np.flatnonzero(targets == c)
        count = min(int(fraction * len(rows) + 0.5), max(0, len(rows) - 1))
        held.append(np.random.default_rng([_STREAM, seed, c]).permutation(rows)[:count])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(targets)), validation), validation
