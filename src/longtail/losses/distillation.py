"""Mutual distillation: each expert learns from the predictions of the others.

KL(p || q) = sum_c p_c (log p_c - log q_c): p teaches, q learns. Sums over pairs cost O(M), not O(M^2), because
the terms of one teacher need only a sum of log-probabilities; the pair of an expert with itself adds nothing.
"""

from itertools import accumulate
from typing import Literal

import torch
from jaxtyping import Bool, Float
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
    experts = len(logits)
    pairs = max(experts * (experts - 1) / 2, 1)
    return (
        pairwise_kl(logits, form="unordered", temperature=temperature, detach_teacher=detach_teacher) / pairs
    )


def mutual_distillation_ordered(
    logits: Float[Tensor, "m b c"], *, temperature: float = 1.0, detach_teacher: bool = False
) -> Float[Tensor, ""]:
    """The released distillation: KL(p^j || p^i) summed over all ordered pairs i != j, over batch and classes.

    It equals M(M-1)/C (0.06 at M = 3, C = 100) times the mean of `mutual_distillation` over the experts in
    order and in reverse order.

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
    return pairwise_kl(logits, reduction="mean", temperature=temperature, detach_teacher=detach_teacher)


def pairwise_kl(
    logits: Float[Tensor, "m b c"],
    *,
    form: Literal["ordered", "unordered", "to_mean"] = "ordered",
    reduction: Literal["batchmean", "mean"] = "batchmean",
    temperature: float | Float[Tensor, " c"] = 1.0,
    detach_teacher: bool = False,
    weight: Float[Tensor, "#t b"] | Float[Tensor, " b"] | None = None,
    mask: Bool[Tensor, "b c"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over pairs of experts of KL(teacher || learner), p_t . (log p_t - log p_l), linear in M.

    "ordered": p^i teaches p^j for all i != j, computed as sum_i p^i . (M log p^i - sum_j log p^j);
    "unordered": p^i teaches p^j for all i < j; "to_mean": softmax of the mean of the logits teaches each p^j.

    The copies of an image within each expert take the experts' place as (V, M*B, C); M times that is the sum.

    Args:
        logits: (M, B, C) of each expert, finite.
        form: which pairs.
        reduction: "batchmean" divides by B; "mean" by B * C, as PyTorch's default for KL does.
        temperature: > 0; p = softmax(z / temperature), one number or (C,) one for each class. The loss is not
            multiplied by its square.
        detach_teacher: True sends gradients to the learner of a pair only.
        weight: (B,) of each sample or (M, B) of each teacher and sample, >= 0; what it leaves out still counts
            in B.
        mask: (B, C) False leaves a class out of the sum over classes; p is not renormalised.

    Returns:
        One value, the sum over pairs, in nats; >= 0 without a mask. 0 for a single expert.

    Source: ordered: Li et al., Nested Collaborative Learning, CVPR 2022; to_mean: Wang et al., RIDE, ICLR 2021.

    Example:
        log(4/3)/2 + log(27/16)/4, the two directions:

        >>> pairwise_kl(torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]]).log())
        tensor(0.2747)

    """
    logits = upcast(logits)
    experts, batch, classes = logits.shape
    log_p = (logits / temperature).log_softmax(-1)
    teacher = (logits.mean(0, keepdim=True) / temperature).log_softmax(-1) if form == "to_mean" else log_p
    teacher = teacher.detach() if detach_teacher else teacher
    learners: int | Tensor = experts
    if form == "unordered":
        sums = list(accumulate(reversed(log_p.unbind())))
        learned = torch.stack(sums[::-1])  # sum of log p^j over j >= i
        learners = torch.arange(experts, 0, -1, device=log_p.device, dtype=log_p.dtype).view(-1, 1, 1)
    else:
        learned = log_p.sum(0)
    terms = teacher.exp() * (learners * teacher - learned)
    if (
        mask is not None
    ):  # a detached teacher and itself as a learner: 0, but its gradient over some classes is not
        own = 0.0 if form == "to_mean" else teacher.exp() * (log_p - teacher)
        terms = (terms + own) * mask
    if weight is not None:
        terms = terms * weight.to(terms.dtype).unsqueeze(-1)
    return terms.sum() / (batch * classes if reduction == "mean" else batch)


def kl_divergence(
    teacher: Float[Tensor, "#m b c"],
    learner: Float[Tensor, "m b c"],
    *,
    temperature: float | Float[Tensor, " c"] = 1.0,
    weight: Float[Tensor, "m b"] | Float[Tensor, " b"] | None = None,
    normalise: bool = False,
) -> Float[Tensor, " m"]:
    """Distillation from given teacher logits: KL(softmax(teacher) || softmax(learner)) of each expert.

    Args:
        teacher: (M, B, C) logits, or (1, B, C) for all experts; finite. Gradients flow: detach it to stop them.
        learner: (M, B, C) logits, finite.
        temperature: > 0; p = softmax(z / temperature), one number or (C,) one for each class. The loss is not
            multiplied by its square.
        weight: (B,) of each sample or (M, B) of each expert and sample, >= 0; 0 leaves one out.
        normalise: with weights: True divides by their sum (0 where all are 0), False by B.

    Returns:
        (M,) mean over the batch per expert, in nats, >= 0.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015.

    Example:
        >>> half = torch.tensor([[[0.5, 0.5]]]).log()
        >>> kl_divergence(half, torch.tensor([[[0.25, 0.75]]]).log())
        tensor([0.1438])

    """
    log_p = (upcast(teacher) / temperature).log_softmax(-1)
    log_q = (upcast(learner) / temperature).log_softmax(-1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(-1)
    if weight is None:
        return divergence.mean(1)
    weight = weight.to(divergence.dtype).expand_as(divergence)
    total = (weight * divergence).sum(1)
    return (
        total / weight.sum(1).clamp_min(torch.finfo(weight.dtype).tiny)
        if normalise
        else total / weight.shape[1]
    )
