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
    value, half = _weighted_mean(gain, weight, source)
    return value, max(-1.0, value - half), min(1.0, value + half)


def _weighted_mean(
    gain: Float[ndarray, " n"], weight: Float[ndarray, " n"], source: Int[ndarray, " n"] | None = None
) -> tuple[float, float]:
    """A weighted mean over images, and half its 95 % interval."""
    value = float((weight * gain).sum())
    parts = weight * (gain - value)
    sums = parts if source is None else np.bincount(source, parts)
    used = weight[weight > 0]
    variance = float((sums**2).sum() + (used**2).sum() / max(1, len(used)))
    return value, Z * variance**0.5


def paired_gain_of_runs(
    right: Bool[ndarray, "s n"], other: Bool[ndarray, "s n"], weight: Float[ndarray, " n"]
) -> tuple[float, float, float]:
    """Accuracy of one method minus that of another over several runs of each, with a 95 % interval.

    Run s of one is paired with run s of the other, which shares its seed, and image n with image n. Two variances are
    added: that of the mean over images, of the difference averaged over runs; and that of the mean over runs. What
    runs and images have together is in both, so the interval errs on the wide side. Its quantile is Student's, with
    Satterthwaite's degrees of freedom. One run says nothing of the second variance: the interval is then that of
    `paired_gain`, and holds for these two runs alone.

    Args:
        right: (S, N) whether each image is named correctly by each run of the first.
        other: (S, N) the same of the second.
        weight: (N,) of each image, adding to 1.

    Returns:
        The gain, and the ends of its interval, within [-1, 1].
    """
    from scipy.stats import t

    runs = len(right)
    gain = right.astype(float) - other.astype(float)
    if runs == 1:
        return paired_gain(right[0], other[0], weight)
    value, half = _weighted_mean(gain.mean(0), weight)
    of_images = (half / Z) ** 2
    of_runs = float((gain @ weight).var(ddof=1)) / runs
    images = max(2, int((weight > 0).sum()))
    variance = of_images + of_runs
    freedom = variance**2 / (of_images**2 / (images - 1) + of_runs**2 / (runs - 1))
    half = float(t.ppf(0.975, freedom)) * variance**0.5
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
