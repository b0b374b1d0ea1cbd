"""Which classes are weak, and which merely unlucky: shrunken recalls, tails of chance, and whether classes differ."""

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from numpy import ndarray

FALSE_DISCOVERIES = 0.10
SIMULATIONS = 499

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


def beta_binomial(correct: Num[ndarray, " c"], images: Num[ndarray, " c"]) -> tuple[float, float]:
    """Most likely mean and concentration (a + b) of a beta distribution that the classes' true recalls come from.

    Args:
        correct: (C,) right images.
        images: (C,) images, above 0.

    Returns:
        The mean in (0, 1) and the concentration in [0.05, 10,000]; a large one says that the classes are alike.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    pairs, times = np.unique(np.stack([correct, images], 1).astype(float), axis=0, return_counts=True)
    start = logit((correct.sum() + 0.5) / (images.sum() + 1))
    bounds = [(-8.0, 8.0), (np.log(0.05), np.log(1e4))]
    given = {"args": (*pairs.T, times.astype(float)), "method": "L-BFGS-B", "bounds": bounds}
    found = [minimize(_surprise, (start, size), **given) for size in (0.0, 5.0)]
    best = min(found, key=lambda fit: float(fit.fun))
    return float(expit(best.x[0])), float(np.exp(best.x[1]))


def _surprise(at: Numbers, k: Numbers, n: Numbers, times: Numbers) -> float:
    """The negative log likelihood of (logit of the mean, log of the concentration)."""
    from scipy.special import betaln, expit

    mean, size = expit(at[0]), np.exp(at[1])
    a, b = mean * size, (1 - mean) * size
    return -float((times * (betaln(k + a, n - k + b) - betaln(a, b))).sum())


def shrunken(
    correct: Num[ndarray, " c"], images: Num[ndarray, " c"], mean: float, concentration: float
) -> Float[ndarray, " c"]:
    """Recalls drawn towards the group's mean, the more the fewer images: good to sort by, not to show.

    Example:
        >>> shrunken(np.array([0, 0]), np.array([1, 100]), mean=0.5, concentration=10.0).round(3)
        array([0.455, 0.045])
    """
    return np.asarray((correct + mean * concentration) / (images + concentration), dtype=float)


def tails(
    correct: Num[ndarray, " c"], images: Num[ndarray, " c"], rate: Float[ndarray, " c"]
) -> tuple[Float[ndarray, " c"], Float[ndarray, " c"]]:
    """Chance of at most, and of at least, so many right images of `images` at `rate`.

    Numbers of images need not be whole: the binomial's tails are incomplete beta functions of them.
    """
    from scipy.special import betainc

    low = np.where(correct >= images, 1.0, betainc(np.maximum(images - correct, 1e-9), correct + 1, 1 - rate))
    high = np.where(correct <= 0, 1.0, betainc(np.maximum(correct, 1e-9), images - correct + 1, rate))
    return low, high


def benjamini_hochberg(chance: Float[ndarray, " n"], level: float = FALSE_DISCOVERIES) -> Bool[ndarray, " n"]:
    """Which of many findings to keep so that, on average, at most the share `level` of the kept is mere chance.

    Args:
        chance: (N,) p-values.
        level: share of false discoveries.

    Source: Benjamini and Hochberg, Controlling the false discovery rate, 1995.

    Example:
        >>> benjamini_hochberg(np.array([0.001, 0.5, 0.04]))
        array([ True, False,  True])
    """
    order = np.argsort(chance, kind="stable")
    passed = chance[order] <= level * np.arange(1, len(chance) + 1) / max(1, len(chance))
    kept = np.zeros(len(chance), dtype=bool)
    if passed.any():
        kept[order[: np.flatnonzero(passed)[-1] + 1]] = True
    return kept


def typical(correct: Num[ndarray, " c"], images: Num[ndarray, " c"]) -> tuple[float, Bool[ndarray, " c"]]:
    """The recall of a group's middle classes, which an outlier does not move, and which these are.

    A quarter of the classes is left out at either end of the recalls (one of three), the rest is pooled.

    Args:
        correct: (C,) right images.
        images: (C,) images, above 0.

    Example:
        >>> typical(np.array([1, 8, 9, 9]), np.array([10, 10, 10, 10]))
        (0.85, array([False,  True,  True, False]))
    """
    order = np.argsort(correct / images, kind="stable")
    cut = max(len(order) // 4, int(len(order) == 3))
    middle = np.zeros(len(order), dtype=bool)
    middle[order[cut : len(order) - cut]] = True
    return float(correct[middle].sum() / images[middle].sum()), middle


def singled_out(
    correct: Num[ndarray, " c"], images: Num[ndarray, " c"], group: Int[ndarray, " c"]
) -> tuple[Bool[ndarray, " c"], Bool[ndarray, " c"], Float[ndarray, " c"]]:
    """Classes clearly weaker, and clearly stronger, than their group; and the two-sided chance of each.

    A class is compared with its group's typical recall. That is known from R other images only, so a class of n images
    is judged as n R / (n + R) of them: a huge class does not stand out against a few small ones.

    Args:
        correct: (C,) right images.
        images: (C,) images, above 0; effective numbers where images depend on each other.
        group: (C,) group indices.
    """
    rate, others = np.zeros(len(images)), np.zeros(len(images))
    for which in (group == g for g in np.unique(group)):
        middle_rate, middle = typical(correct[which], images[which])
        rate[which] = middle_rate
        others[which] = images[which][middle].sum() - np.where(middle, images[which], 0)
    share = others / (images + others)
    low, high = tails(correct * share, images * share, rate)
    chance = np.minimum(1.0, 2 * np.minimum(low, high))
    kept = benjamini_hochberg(chance)
    return kept & (low < high), kept & (low > high), chance


def spread_chance(
    correct: Int[ndarray, " c"], images: Int[ndarray, " c"], group: Int[ndarray, " c"], seed: int = 0
) -> float:
    """Chance that classes with equal true recall within each group differ as much as these do.

    The sum of squared standardised deviations is compared with that of simulated classes.

    Args:
        correct: (C,) right images.
        images: (C,) images, above 0.
        group: (C,) group indices.
        seed: of the simulation.
    """
    rng = np.random.default_rng(seed)
    observed, simulated = 0.0, np.zeros(SIMULATIONS)
    for which in np.unique(group):
        k, n = correct[group == which], images[group == which]
        observed += float(_deviation(k[None], n)[0])
        draws = np.concatenate(
            [rng.binomial(n, k.sum() / n.sum(), (size, len(n))) for size in _chunks(SIMULATIONS, len(n))]
        )
        simulated += _deviation(draws, n)
    return float((1 + (simulated >= observed - 1e-9).sum()) / (SIMULATIONS + 1))


def _chunks(total: int, width: int) -> list[int]:
    size = max(1, 2_000_000 // max(1, width))
    return [min(size, total - start) for start in range(0, total, size)]


def _deviation(correct: Int[ndarray, "s c"], images: Int[ndarray, " c"]) -> Float[ndarray, " s"]:
    rate = correct.sum(1, keepdims=True) / images.sum()
    expected, variance = rate * images, rate * (1 - rate) * images
    return np.asarray(
        np.where(variance > 0, (correct - expected) ** 2 / np.maximum(variance, 1e-12), 0).sum(1)
    )
