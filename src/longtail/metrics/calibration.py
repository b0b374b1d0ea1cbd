"""One temperature that makes confidences honest (Guo et al. 2017)."""

import math

from jaxtyping import Float, Int
from torch import Tensor

COLDEST, HOTTEST = 0.05, 20.0
_HALVINGS = 30  # of log(HOTTEST / COLDEST): to 1e-8


def fit_temperature(
    logits: Float[Tensor, "n c"], target: Int[Tensor, " n"], log_ratio: Float[Tensor, " c"] | None = None
) -> float | None:
    """The temperature T at which softmax(logits / T + log_ratio) gives the least mean negative log-likelihood.

    The likelihood is concave in 1/T, so its slope, mean(z_y) - mean(E_p[z]), changes sign once; bisection finds where.

    Args:
        logits: (N, C), any real number.
        target: (N,) class indices in [0, C).
        log_ratio: (C,) log of the class mix of these images over the one that the logits stand for, up to a constant;
            -inf for a class without images; None where the two are the same.

    Returns:
        T in (0.05, 20), or None where there is no such T: no images, every one of them right beyond doubt (the
        likelihood grows for ever as T falls), or no better than chance (it grows as T rises).

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    Example:
        Odds of e^4 to 1 where 3 of 4 are right, that is odds of 3 to 1: T = 4 / log 3.

        >>> logits = torch.tensor([[4.0, 0.0]] * 4)
        >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 4)
        3.641

    """
    if not len(logits):
        return None
    z = logits.double()
    own = z.gather(1, target.unsqueeze(1)).mean()
    shift = 0.0 if log_ratio is None else log_ratio.double()

    def too_cold(temperature: float) -> bool:
        expected = ((z / temperature + shift).softmax(-1) * z).sum(-1).mean()
        return bool(expected > own)

    low, high = math.log(COLDEST), math.log(HOTTEST)
    if not too_cold(COLDEST) or too_cold(HOTTEST):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_cold(math.exp(middle)) else (low, middle)
    return math.exp((low + high) / 2)
