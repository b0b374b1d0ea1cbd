"""Macro recall of what was tried on the same held-out images, and how far chance may have moved a difference."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from longtail.metrics.intervals import Z, macro_interval


@dataclass(frozen=True)
class Difference:
    """Macro recall of one less that of another, with its 95 % interval.

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


def macro(right: Bool[ndarray, " n"], targets: Int[ndarray, " n"]) -> tuple[float, float, float]:
    """Mean recall over the classes that have images, and its 95 % interval.

    Args:
        right: (N,) whether each image was named correctly.
        targets: (N,) classes.
    """
    images = np.bincount(targets)
    correct = np.bincount(targets, right, minlength=len(images))
    there = images > 0
    low, high = macro_interval(correct[there], images[there])
    return float((correct[there] / images[there]).mean()), low, high


def difference(
    one: Bool[ndarray, " n"], other: Bool[ndarray, " n"], targets: Int[ndarray, " n"]
) -> Difference:
    """Difference of two macro recalls on the same images: what both name alike adds nothing to its variance.

    The variance of a class is that of the differences of its images, -1, 0 or 1, with half an image more on which the
    two differ, so that a class in which they agree is not taken for certain.

    Args:
        one: (N,) whether each image was named correctly.
        other: (N,) the same.
        targets: (N,) classes.

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
    variance = np.maximum(unlike - mean**2, 0.5 / (count + 1)) / count
    value, half = float(mean.mean()), float(Z * np.sqrt(variance.sum()) / len(count))
    return Difference(value, value - half, value + half)
