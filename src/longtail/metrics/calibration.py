"""One temperature that makes confidences honest (Guo et al. 2017)."""

import math

from jaxtyping import Float, Int
from torch import Tensor

from longtail.metrics.intervals import Z

COLDEST, HOTTEST = 1e-4, 1e4  # of the search, which begins between the next two and widens as it must
_COLD, _HOT = 0.05, 20.0
_HALVINGS = 30  # of the logarithms' distance: to 1e-8


def fit_temperature(
    logits: Float[Tensor, "n c"],
    target: Int[Tensor, " n"],
    log_prior_ratio: Float[Tensor, " c"] | None = None,
) -> float | None:
    """The temperature T at which softmax(logits / T + log_prior_ratio) gives the least mean negative log-likelihood.

    The likelihood is concave in 1/T, so its slope, mean(z_y) - mean(E_p[z]), changes sign once; bisection finds where.

    Args:
        logits: (N, C), any real number.
        target: (N,) class indices in [0, C).
        log_prior_ratio: (C,) log of the class prior of these images over the one that the logits stand for, up to a
            constant; -inf for a class without images; None where the two are the same.

    Returns:
        T in [0.0001, 10000], or None where there is no such T; `why_no_temperature` says why.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    Example:
        Odds of e^4 to 1 where 3 of 4 are right, that is odds of 3 to 1: T = 4 / log 3.

        >>> logits = torch.tensor([[4.0, 0.0]] * 4)
        >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 4)
        3.641

    """
    if _no_optimum(logits, target, log_prior_ratio) is not None:
        return None
    own = _own(logits, target).mean()
    low, high = math.log(_COLD), math.log(_HOT)
    while _expected(logits, math.exp(low), log_prior_ratio).mean() <= own:
        if low <= math.log(COLDEST):
            return None
        low = max(low - 1, math.log(COLDEST))
    while _expected(logits, math.exp(high), log_prior_ratio).mean() > own:
        if high >= math.log(HOTTEST):
            return None
        high = min(high + 1, math.log(HOTTEST))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_cold = _expected(logits, math.exp(middle), log_prior_ratio).mean() > own
        low, high = (middle, high) if too_cold else (low, middle)
    return math.exp((low + high) / 2)


def why_no_temperature(
    logits: Float[Tensor, "n c"],
    target: Int[Tensor, " n"],
    log_prior_ratio: Float[Tensor, " c"] | None = None,
) -> str:
    """Why `fit_temperature` gives None for these."""
    return _no_optimum(logits, target, log_prior_ratio) or (
        f"the best temperature lies beyond {COLDEST:g} to {HOTTEST:g}: the logits are of no usual size"
    )


def temperature_interval(
    logits: Float[Tensor, "n c"], temperature: float, log_prior_ratio: Float[Tensor, " c"] | None = None
) -> tuple[float, float]:
    """Where 95 % of the temperatures of other such images would lie: from the curvature of the likelihood.

    Args:
        logits: (N, C) that the temperature was fitted to.
        temperature: what `fit_temperature` found.
        log_prior_ratio: as there.
    """
    mean = _expected(logits, temperature, log_prior_ratio)
    information = (
        _expected(logits, temperature, log_prior_ratio, power=2) - mean**2
    ).sum()  # of 1 / temperature
    half = Z * temperature / math.sqrt(max(float(information), 1e-12))
    return temperature * math.exp(-min(half, 99)), temperature * math.exp(min(half, 99))


def _no_optimum(logits: Tensor, target: Tensor, log_prior_ratio: Tensor | None) -> str | None:
    """Why the likelihood has no greatest value at a finite temperature above 0; None where it has."""
    if not len(logits):
        return "there are no images"
    if not bool(logits.isfinite().all()):
        return "the network answers with what is no number: its weights are damaged"
    if log_prior_ratio is not None and int(log_prior_ratio.isfinite().sum()) == 1:
        return "all of them are of one class"
    own = _own(logits, target)
    if own.mean() <= _expected(logits, math.inf, log_prior_ratio).mean():
        return (
            "their classes score no higher than chance would: they were not learned, or the labels are wrong"
        )
    possible = (
        logits if log_prior_ratio is None else logits.masked_fill(log_prior_ratio.isneginf(), -math.inf)
    )
    if bool((own >= possible.amax(dim=-1)).all()):
        return "every one is named correctly, so how sure the run may be is not known: give more images"
    return None


def _own(logits: Tensor, target: Tensor) -> Tensor:
    """(N,) the logit of each image's class."""
    return logits.double().gather(1, target.unsqueeze(1)).squeeze(1)


def _expected(logits: Tensor, temperature: float, log_prior_ratio: Tensor | None, power: int = 1) -> Tensor:
    """(N,) mean of the logits, to a power, under the probabilities at a temperature."""
    z = logits.double()
    shift = 0.0 if log_prior_ratio is None else log_prior_ratio.double()
    return ((z / temperature + shift).softmax(-1) * z**power).sum(-1)
