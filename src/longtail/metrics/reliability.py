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


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """What answering only the surest images costs and buys, for each distinct confidence, highest first.

    Attributes:
        threshold: (K,) the confidence; answered is what is at least as sure.
        images: (1 + G, K) how many are answered, of all and of each group.
        wrong: (1 + G, K) how many of these are wrong.
    """

    threshold: Float[ndarray, " k"]
    images: Int[ndarray, "rows k"]
    wrong: Int[ndarray, "rows k"]

    @property
    def coverage(self) -> Float[ndarray, "rows k"]:
        """The share that is answered; not a number for a group without images."""
        with np.errstate(invalid="ignore"):
            share: Float[ndarray, "rows k"] = self.images / self.images[:, -1:]
        return share

    @property
    def error(self) -> Float[ndarray, "rows k"]:
        """The share of the answered that is wrong; not a number where none is answered."""
        with np.errstate(invalid="ignore"):
            share: Float[ndarray, "rows k"] = self.wrong / self.images
        return share

    def at(self, share: float) -> int:
        """The place of the highest threshold at which this share of all images is answered."""
        return min(int(np.searchsorted(self.coverage[0], share - 1e-9)), len(self.threshold) - 1)


def risk_coverage(
    confidence: Float[ndarray, " n"],
    right: Bool[ndarray, " n"],
    group: Int[ndarray, " n"] | None = None,
    num_groups: int = 0,
) -> RiskCoverage:
    """What abstaining below a confidence leaves, over all images and for those of each group.

    Args:
        confidence: (N,) of the predicted class.
        right: (N,) whether it is right.
        group: (N,) group of the image's true class, in [0, G); None for no groups.
        num_groups: G.

    Source: El-Yaniv and Wiener, JMLR 2010; by group as in Jones et al., ICLR 2021.

    Example:
        >>> curve = risk_coverage(np.array([0.9, 0.5, 0.5, 0.2]), np.array([True, True, False, False]))
        >>> curve.coverage[0], curve.error[0].round(2)
        (array([0.25, 0.75, 1.  ]), array([0.  , 0.33, 0.5 ]))
    """
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)])
    member = np.ones((1 + num_groups, len(ordered)), dtype=bool)
    if group is not None:
        member[1:] = group[order] == np.arange(num_groups)[:, None]
    images, wrong = member.cumsum(axis=1), (member & ~right[order]).cumsum(axis=1)
    return RiskCoverage(ordered[last], images[:, last], wrong[:, last])
