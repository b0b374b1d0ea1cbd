"""Two predictors on the same images: the difference, and how far chance may have moved it."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from longtail.metrics.intervals import Z


def macro_weights(target: Int[ndarray, " n"], chosen: Bool[ndarray, " c"]) -> Float[ndarray, " n"]:
    """Weight of each image in the mean recall of the chosen classes; they add to 1, or are all 0.

    Args:
        target: (N,) class indices.
        chosen: (C,) the classes.
    """
    images = np.bincount(target, minlength=len(chosen))
    tested = chosen & (images > 0)
    return np.asarray((tested / np.maximum(images, 1) / max(1, tested.sum()))[target], dtype=float)


def paired_gain(
    right: Bool[ndarray, " n"],
    other: Bool[ndarray, " n"],
    weight: Float[ndarray, " n"],
    source: Int[ndarray, " n"] | None = None,
) -> tuple[float, float, float]:
    """Accuracy of one predictor minus that of another, with a 95 % interval.

    Only images on which the two differ move it. The variance is that of the weighted mean over drawn images (or whole
    sources), with half an image more each way, so that it is not zero where the two never differ.

    Args:
        right: (N,) whether the first is right.
        other: (N,) whether the second is right.
        weight: (N,) of each image, adding to 1.
        source: (N,) patients, cameras or bursts whose images depend on each other.

    Returns:
        The gain, and the ends of its interval, within [-1, 1].
    """
    gain = right.astype(float) - other.astype(float)
    value = float((weight * gain).sum())
    parts = weight * (gain - value)
    sums = parts if source is None else np.bincount(source, parts)
    used = weight[weight > 0]
    variance = float((sums**2).sum() + (used**2).sum() / max(1, len(used)))
    half = Z * variance**0.5
    return value, max(-1.0, value - half), min(1.0, value + half)


def mcnemar(right: Bool[ndarray, " n"], other: Bool[ndarray, " n"]) -> float:
    """Exact two-sided chance of so uneven a split of the images on which only one of the two is right.

    Example:
        >>> round(mcnemar(np.array([True] * 5 + [False]), np.array([False] * 5 + [False])), 4)
        0.0625
    """
    from scipy.stats import binomtest

    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    return float(binomtest(first, first + second).pvalue) if first + second else 1.0
