"""How far chance may have moved an accuracy: 95 % intervals for a class, a mean over classes, and dependent images."""

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from numpy import ndarray

Z = 1.959963984540054  # the normal quantile of 97.5 %
FEW_SOURCES = 10  # patients, cameras or bursts below which each counts as one image
CHUNK = 100


def wilson(
    correct: Num[ndarray, "*n"], images: Num[ndarray, "*n"]
) -> tuple[Float[ndarray, "*n"], Float[ndarray, "*n"]]:
    """Wilson's score interval of a rate; nan where there are no images.

    Args:
        correct: right images; need not be whole where `images` is an effective number.
        images: at least `correct`.

    Source: Brown, Cai and DasGupta, Interval estimation for a binomial proportion, 2001.

    Example:
        >>> low, high = wilson(np.array([0]), np.array([20]))
        >>> low.round(2), high.round(2)
        (array([0.]), array([0.16]))
    """
    n = np.where(images > 0, images, np.nan).astype(float)
    rate = correct / n
    middle = rate + Z**2 / (2 * n)
    half = Z * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return np.clip((middle - half) / scale, 0, rate), np.clip((middle + half) / scale, rate, 1)


def smoothed_variance(correct: Num[ndarray, " c"], images: Num[ndarray, " c"]) -> Float[ndarray, " c"]:
    """Variance of each class's recall at its Jeffreys-smoothed rate (k + 1/2) / (n + 1): never zero.

    Args:
        correct: (C,) right images.
        images: (C,) images, above 0.
    """
    rate = (correct + 0.5) / (images + 1)
    return np.asarray(rate * (1 - rate) / images, dtype=float)


def macro_interval(
    correct: Num[ndarray, " c"], images: Num[ndarray, " c"], weight: Float[ndarray, " c"] | None = None
) -> tuple[float, float]:
    """Interval of the mean recall of some classes.

    The variances of the classes, at smoothed rates, are summed; Wilson's interval is then taken with as many images as
    would give that variance, so that it stays within [0, 1] and equals the class's own for a single class.

    Args:
        correct: (C,) right images.
        images: (C,) images; above 0, effective numbers where images depend on each other.
        weight: (C,) of the classes in the mean; None for equal ones.
    """
    if not len(images):
        return float("nan"), float("nan")
    share = np.ones(len(images)) if weight is None else weight
    whole = share.sum()  # divided by last, so that recalls of 1 have a mean of 1, and not of a little less
    mean = share @ ((correct + 0.5) / (images + 1)) / whole
    variance = share**2 @ smoothed_variance(correct, images) / whole**2
    equal = np.array([mean * (1 - mean) / variance])
    low, high = wilson(share @ (correct / images) / whole * equal, equal)
    return float(low[0]), float(high[0])


def effective_images(
    right: Bool[ndarray, " n"], target: Int[ndarray, " n"], source: Int[ndarray, " n"], classes: int
) -> tuple[Float[ndarray, " c"], Int[ndarray, " c"]]:
    """How many independent images each class's images are worth, and the sources they come from.

    Images of one source (patient, camera, burst) resemble each other. The variance of a class's recall between sources
    is compared with that of independent images; where a class has fewer than 10 sources, or is all right or all wrong,
    each source counts as one image.

    Args:
        right: (N,) whether the image is named correctly.
        target: (N,) class indices.
        source: (N,) source indices.
        classes: C.
    """
    pair, slot = np.unique(target * (source.max(initial=0) + 1) + source, return_inverse=True)
    of = (pair // (source.max(initial=0) + 1)).astype(int)
    n_pair, k_pair = np.bincount(slot, minlength=len(pair)), np.bincount(slot, right, len(pair))
    images, correct = np.bincount(target, minlength=classes), np.bincount(target, right, classes)
    sources = np.bincount(of, minlength=classes)
    rate = correct / np.maximum(images, 1)
    spread = np.bincount(of, (k_pair - rate[of] * n_pair) ** 2, classes)
    between = spread * sources / np.maximum(sources - 1, 1) / np.maximum(images, 1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(between > 0, rate * (1 - rate) / between, images)
    known = (sources >= FEW_SOURCES) & (rate > 0) & (rate < 1)
    worth = np.where(known, np.minimum(worth, images), sources)
    return worth.astype(float), sources


def source_bootstrap(
    right: Bool[ndarray, " n"],
    target: Int[ndarray, " n"],
    source: Int[ndarray, " n"],
    chosen: Bool[ndarray, "g c"],
    draws: int = 1000,
    seed: int = 0,
) -> Float[ndarray, "h 2"]:
    """Intervals of the accuracy over images, then of the mean recall of each set of classes, drawing whole sources.

    Args:
        right: (N,) whether the image is named correctly.
        target: (N,) class indices.
        source: (N,) source indices.
        chosen: (G, C) the sets of classes.
        draws: how often the sources are drawn, with replacement.
        seed: of the draws.

    Returns:
        (G + 1, 2) the middle 95 % of the draws; a class that a draw does not hold is left out of it.
    """
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    known, place = np.unique(source, return_inverse=True)
    shape = (len(known), chosen.shape[1])
    images = csr_array((np.ones(len(target)), (place, target)), shape=shape)
    correct = csr_array((right.astype(float), (place, target)), shape=shape)
    values = []
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        weight = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), size).astype(float)
        n, k = (images.T @ weight.T).T, (correct.T @ weight.T).T
        recall, drawn = k / np.maximum(n, 1), (n > 0).astype(float)
        with np.errstate(invalid="ignore"):
            means = (recall @ chosen.T) / (drawn @ chosen.T)
        values.append(np.column_stack([k.sum(1) / n.sum(1), means]))
    every = np.concatenate(values)
    empty = np.isnan(every).all(0)
    ends = np.full((every.shape[1], 2), np.nan)
    ends[~empty] = np.nanquantile(every[:, ~empty], [0.025, 0.975], axis=0).T
    return ends
