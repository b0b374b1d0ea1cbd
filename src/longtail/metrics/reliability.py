"""Whether confidences can be trusted: reliability in bins of equal mass, and what refusing to answer buys."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

MOST_BINS = 15
IMAGES_A_BIN = 50
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Bins:
    """Images of similar confidence, least first.

    Attributes:
        images: (B,) how many.
        confidence: (B,) mean.
        accuracy: (B,) share of right ones.
        low, high: (B,) where the accuracy lies in 95 % of resamples if every confidence is true.
    """

    images: Int[ndarray, " b"]
    confidence: Float[ndarray, " b"]
    accuracy: Float[ndarray, " b"]
    low: Float[ndarray, " b"]
    high: Float[ndarray, " b"]


def equal_mass_bins(confidence: Float[ndarray, " n"], right: Bool[ndarray, " n"], seed: int = 0) -> Bins:
    """Reliability in at most min(15, N/50) bins of about as many images each; equal confidences stay together.

    Args:
        confidence: (N,) of the predicted class, in [0, 1].
        right: (N,) whether it is right.
        seed: of the resamples.

    Source of the bands: Broecker and Smith, Increasing the reliability of reliability diagrams, 2007.
    """
    order = np.argsort(confidence, kind="stable")
    ordered, hits = confidence[order], right[order].astype(float)
    wanted = max(1, min(MOST_BINS, len(ordered) // IMAGES_A_BIN))
    cuts = ordered[np.arange(1, wanted) * len(ordered) // wanted]
    starts = np.unique(np.concatenate([[0], np.searchsorted(ordered, cuts)]))
    images = np.diff(np.append(starts, len(ordered)))
    rng = np.random.default_rng(seed)
    drawn = [
        np.add.reduceat((rng.random(len(ordered)) < ordered).astype(float), starts) / images
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    mean, accuracy = (np.add.reduceat(values, starts) / images for values in (ordered, hits))
    return Bins(images, mean, accuracy, low, high)


def error_by_coverage(
    confidence: Float[ndarray, " n"], right: Bool[ndarray, " n"]
) -> tuple[Float[ndarray, " k"], Float[ndarray, " k"], Float[ndarray, " k"]]:
    """What answering only the surest images costs and buys.

    Args:
        confidence: (N,) of the predicted class.
        right: (N,) whether it is right.

    Returns:
        One value for each distinct confidence t, highest first: the share of images answered at t or above, the
        share of wrong ones among these, and t.

    Example:
        >>> coverage, error, _ = error_by_coverage(np.array([0.9, 0.5, 0.5, 0.2]), np.array([True, True, False, False]))
        >>> coverage, error.round(2)
        (array([0.25, 0.75, 1.  ]), array([0.  , 0.33, 0.5 ]))
    """
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)])
    wrong = np.cumsum(~right[order])
    return (last + 1) / max(1, len(ordered)), wrong[last] / (last + 1), ordered[last]
