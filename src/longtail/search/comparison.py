"""Paired comparison of macro recall on the same held-out images, with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64
from numpy import ndarray

from longtail.metrics.intervals import Z, effective_images, macro_interval


@dataclass(frozen=True)
class Difference:
    """Difference of two macro recalls, with its 95 % interval.

    Attributes:
        value: in [-1, 1].
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def is_better(self) -> bool:
        """Whether chance does not explain that the first is better."""
        return self.low > 0


def units_of(groups: Sequence[str] | None, rows: Int64[ndarray, " k"]) -> Int64[ndarray, " k"] | None:
    """(K,) the group of each of these images; None where each is by itself.

    Args:
        groups: names of all images, "" for an image by itself.
        rows: (K,) of them.
    """
    if groups is None:
        return None
    named = [groups[row] or row for row in rows.tolist()]
    number = {name: place for place, name in enumerate(dict.fromkeys(named))}
    return None if len(number) == len(named) else np.array([number[name] for name in named], dtype=np.int64)


def macro(
    right: Bool[ndarray, " n"], targets: Int[ndarray, " n"], units: Int[ndarray, " n"] | None = None
) -> tuple[float, float, float]:
    """Mean recall over the classes that have images, and its 95 % interval.

    Args:
        right: (N,) whether each image was named correctly.
        targets: (N,) classes.
        units: (N,) groups of images that depend on each other (near duplicates, bursts); None: there are none.
    """
    images = np.bincount(targets)
    correct = np.bincount(targets, right, minlength=len(images))
    there = images > 0
    rate = correct[there] / images[there]
    worth = images if units is None else effective_images(right, targets, units, len(images))[0]
    low, high = macro_interval(rate * worth[there], worth[there])
    return float(rate.mean()), low, high


def difference(
    one: Bool[ndarray, " n"],
    other: Bool[ndarray, " n"],
    targets: Int[ndarray, " n"],
    units: Int[ndarray, " n"] | None = None,
) -> Difference:
    """Difference of two macro recalls on the same images: what both name alike adds nothing to its variance.

    The variance of a class is that of the differences of its images, -1, 0 or 1, with half an image more on which the
    two differ, so that a class in which they agree is not taken for certain. Where images stand in groups, the variance
    is that of sums over whole groups (cluster-robust), and no smaller than that of images.

    Args:
        one: (N,) whether each image was named correctly.
        other: (N,) the same.
        targets: (N,) classes.
        units: (N,) groups of images that depend on each other; None: there are none.

    Example:
        >>> found = difference(np.array([True] * 50), np.array([False] * 50), np.repeat([0, 1], 25))
        >>> found.value, found.is_better
        (1.0, True)
    """
    apart = one.astype(float) - other
    images = np.bincount(targets)
    there = images > 0
    count = images[there]
    mean = np.bincount(targets, apart)[there] / count
    unlike = (np.bincount(targets, np.abs(apart))[there] + 0.5) / (count + 1)
    each = count if units is None else np.bincount(np.unique(np.stack([targets, units]), axis=1)[0])[there]
    variance = float(np.maximum((unlike - mean**2) / count, 0.5 / (each + 1) / each).sum()) / len(count) ** 2
    if units is not None:
        middle, weight = np.zeros(len(images)), np.zeros(len(images))
        middle[there], weight[there] = mean, 1 / (count * len(count))
        sums = np.bincount(units, weight[targets] * (apart - middle[targets]))
        variance = max(variance, float((sums**2).sum()) * len(sums) / max(1, len(sums) - 1))
    value, half = float(mean.mean()), float(Z * np.sqrt(variance))
    return Difference(value, value - half, value + half)
