"""One temperature that makes confidences honest (Guo et al. 2017), and what abstaining would cost each group."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
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


def risk_coverage(
    confidence: Float[Tensor, " n"],
    correct: Bool[Tensor, " n"],
    group: Int[Tensor, " n"],
    group_names: Sequence[str],
) -> list[dict[str, Any]]:
    """What abstaining below a confidence leaves, over all images and for those of each group.

    Args:
        confidence: (N,) of each prediction.
        correct: (N,) whether it is right.
        group: (N,) position in `group_names` of the group of the image's true class.
        group_names: G names.

    Returns:
        Rows from everything kept to 1 % kept: `threshold` (kept is what is at least as confident), `coverage` (the
        share kept, a little above the round percentage where confidences are equal), `images`, `error` (share of the
        kept that is wrong), and for each group `images_<group>`, `coverage_<group>` and `error_<group>`; None where
        it has none.

    Source: El-Yaniv and Wiener, JMLR 2010; by group as in Jones et al., ICLR 2021.

    Example:
        >>> confidence, correct = torch.tensor([0.9, 0.8, 0.6, 0.5]), torch.tensor([True, True, False, True])
        >>> rows = risk_coverage(confidence, correct, torch.zeros(4).long(), ["all"])
        >>> [(row["coverage"], row["error"]) for row in rows]
        [(1.0, 0.25), (0.75, 0.3333333333333333), (0.5, 0.0), (0.25, 0.0)]

    """
    count = len(confidence)
    values, order = confidence.double().sort(descending=True)
    member = group[order].unsqueeze(1) == torch.arange(len(group_names))
    wrong = ~correct[order]
    kept_of, wrong_of = member.cumsum(0), (member & wrong.unsqueeze(1)).cumsum(0)
    wrong_all, last = wrong.cumsum(0), 0
    rows: list[dict[str, Any]] = []
    for percent in range(100, 0, -1):
        threshold = values[-(-percent * count // 100) - 1] if count else values.new_zeros(())
        kept = int((values >= threshold).sum())
        if kept in (0, last):
            continue
        last = kept
        row: dict[str, Any] = {"coverage": kept / count, "threshold": float(threshold), "images": kept}
        row["error"] = int(wrong_all[kept - 1]) / kept
        for index, name in enumerate(group_names):
            n, every = int(kept_of[kept - 1, index]), int(kept_of[-1, index])
            row[f"images_{name}"] = n
            row[f"coverage_{name}"] = n / every if every else None
            row[f"error_{name}"] = int(wrong_of[kept - 1, index]) / n if n else None
        rows.append(row)
    return rows
