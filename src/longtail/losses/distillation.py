"""Collaboration: experts learn from each other's predictions.

KL(p || q) = sum_c p_c (log p_c - log q_c): p teaches, q learns. Both functions cost O(M), not O(M^2), because
the terms of one teacher need only a sum of log-probabilities; the pair of an expert with itself adds nothing.
"""

from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.losses._numeric import upcast


def mutual_distillation(
    logits: Float[Tensor, "m b c"], *, temperature: float = 1.0, detach_teacher: bool = False
) -> Float[Tensor, ""]:
    """Collaboration between experts, Eq. 10: 2/(M(M-1)) * sum over m < m' of KL(p^m || p^m').

    In each pair the expert of lower index is the teacher p^m, so the order of the experts matters.

    Args:
        logits: (M, B, C) of each expert.
        temperature: > 0; p = softmax(z / temperature). The loss is not multiplied by its square.
        detach_teacher: True sends gradients to the learner of a pair only (the first expert then gets none);
            the released form sends them to both.

    Returns:
        One value >= 0: mean over pairs and over the batch, in nats. 0 for a single expert.

    Source: ICL, IJCAI 2025, section 3.3. The released form is `mutual_distillation_ordered`.

    Example:
        KL((1/2, 1/2) || (1/4, 3/4)) = log(4/3) / 2:

        >>> mutual_distillation(torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]]).log())
        tensor(0.1438)

    """
    experts, batch, _ = logits.shape
    log_p = (upcast(logits) / temperature).log_softmax(-1)
    teacher = log_p.detach() if detach_teacher else log_p
    sums = list(accumulate(reversed(log_p.unbind())))
    from_here = torch.stack(sums[::-1])  # sum of log p^m' over m' >= m
    learners = torch.arange(experts, 0, -1, device=log_p.device, dtype=log_p.dtype).view(-1, 1, 1)
    divergence = (teacher.exp() * (learners * teacher - from_here)).sum()
    return divergence / (max(experts * (experts - 1) / 2, 1) * batch)


def mutual_distillation_ordered(
    logits: Float[Tensor, "m b c"], *, temperature: float = 1.0, detach_teacher: bool = False
) -> Float[Tensor, ""]:
    """The released distillation: KL(p^j || p^i) summed over all ordered pairs i != j, over batch and classes.

    Computed as sum_j p^j . (M log p^j - sum_i log p^i). It equals M(M-1)/C (0.06 at M = 3, C = 100)
    times the mean of `mutual_distillation` over the experts in order and in reverse order.

    Args:
        logits: (M, B, C) of each expert.
        temperature: > 0; p = softmax(z / temperature). The loss is not multiplied by its square.
        detach_teacher: True sends gradients to the learner p^i of a pair only.

    Returns:
        One value >= 0: sum over ordered pairs, divided by B and by C. 0 for a single expert.

    Example:
        (log(4/3)/2 + log(27/16)/4) / 2, the two directions over two classes:

        >>> mutual_distillation_ordered(torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]]).log())
        tensor(0.1373)

    """
    experts, batch, classes = logits.shape
    log_p = (upcast(logits) / temperature).log_softmax(-1)
    teacher = log_p.detach() if detach_teacher else log_p
    divergence = (teacher.exp() * (experts * teacher - log_p.sum(0))).sum()
    return divergence / (batch * classes)
