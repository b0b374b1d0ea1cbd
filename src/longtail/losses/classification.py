"""Classification losses, one value per expert, and the parallel loss by which experts compete."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.losses._numeric import upcast


def expert_cross_entropy(logits: Float[Tensor, "m b c"], target: Int[Tensor, " b"]) -> Float[Tensor, " m"]:
    """Cross-entropy of each expert, the L_m that competition works on.

    Args:
        logits: (M, B, C) of each expert, any real number.
        target: (B,) class indices in [0, C).

    Returns:
        (M,) batch mean per expert, in nats.

    Example:
        Two equal logits leave log 2:

        >>> expert_cross_entropy(torch.zeros(1, 1, 2), torch.tensor([0]))
        tensor([0.6931])

    """
    return sample_cross_entropy(logits, target).mean(1)


def sample_cross_entropy(logits: Float[Tensor, "m b c"], target: Int[Tensor, " b"]) -> Float[Tensor, "m b"]:
    """Cross-entropy of each expert and sample, for losses that weigh samples themselves.

    Args:
        logits: (M, B, C) of each expert.
        target: (B,) class indices in [0, C).

    Returns:
        (M, B) in nats, not reduced.

    Example:
        >>> sample_cross_entropy(torch.zeros(1, 2, 2), torch.tensor([0, 1]))
        tensor([[0.6931, 0.6931]])

    """
    return -_target_log_probability(logits, target)


def parallel_loss(
    losses: Float[Tensor, " m"], *, eps: float = 1e-8, factor: float | int = 1
) -> Float[Tensor, ""]:
    """Competition between experts, Eq. 8: L = 1 / sum_m 1/(L_m + eps), gradient Eq. 9: (L/(L_m + eps))^2.

    Like parallel resistors: the expert with the smallest loss has the largest say.

    Args:
        losses: (M,) batch-mean cross-entropies of the experts, each >= 0.
        eps: > 0, keeps the reciprocal of a zero loss finite.
        factor: the result is multiplied by it. 1 is the printed form; the released form uses M, with which
            equal losses give their mean; with M^2 they give their sum.

    Returns:
        One value, between 0 and factor * (min(losses) + eps).

    Source: ICL, IJCAI 2025, section 3.3.

    Example:
        1/1 + 1/3 = 4/3:

        >>> parallel_loss(torch.tensor([1.0, 3.0]))
        tensor(0.7500)
        >>> parallel_loss(torch.tensor([2.0, 2.0]), factor=2)
        tensor(2.)

    """
    resistance = upcast(losses) + eps
    smallest = resistance.detach().amin()  # as the unit: no square overflows or vanishes
    return factor * smallest / (smallest / resistance).sum()


def focal_loss(
    logits: Float[Tensor, "m b c"], target: Int[Tensor, " b"], *, gamma: float = 1.0
) -> Float[Tensor, " m"]:
    """Cross-entropy weighted by (1 - p_y)^gamma, so that easy samples count less.

    Args:
        logits: (M, B, C) of each expert.
        target: (B,) class indices in [0, C).
        gamma: >= 0; 0 is the plain cross-entropy.

    Returns:
        (M,) batch mean per expert, in nats.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017.

    Example:
        p_y = 1/2 halves log 2:

        >>> focal_loss(torch.zeros(1, 1, 2), torch.tensor([0]))
        tensor([0.3466])

    """
    losses = sample_cross_entropy(logits, target)
    return (focal_factor(losses, gamma=gamma) * losses).mean(1)


def focal_factor(losses: Float[Tensor, "m b"], *, gamma: float = 1.0) -> Float[Tensor, "m b"]:
    """(1 - exp(-L))^gamma: of a cross-entropy L the focal loss's (1 - p_y)^gamma.

    Args:
        losses: (M, B) of each expert and sample, >= 0, in nats.
        gamma: >= 0; 0 gives ones.

    Returns:
        (M, B) in [0, 1], with gradients.

    Source: Lin et al., ICCV 2017.

    Example:
        >>> focal_factor(torch.tensor([[0.0, 0.6931]]), gamma=2.0)
        tensor([[0.0000, 0.2500]])

    """
    missing = -torch.expm1(-losses)
    smallest = torch.finfo(missing.dtype).tiny  # the slope of missing^gamma at 0 is infinite for gamma < 1
    return missing.clamp_min(smallest) ** gamma


def logit_adjust(
    logits: Float[Tensor, "*batch c"], class_counts: Int[Tensor, " c"], *, tau: float = 1.0
) -> Float[Tensor, "*batch c"]:
    """Logits with the training prior added: z_c + tau * log n_c.

    Args:
        logits: (..., C).
        class_counts: (C,) training images of each class. A class without any counts as one image: everything
            stays finite and its logit is still pushed down, whereas leaving it out of the softmax would
            leave an untrained logit free to win at prediction.
        tau: strength; 0 changes nothing, a negative one removes the prior from trained logits.

    Returns:
        (..., C) adjusted logits, at least float32.

    Source: Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021.

    Example:
        >>> logit_adjust(torch.zeros(2), torch.tensor([1, 10]))
        tensor([0.0000, 2.3026])

    """
    logits = upcast(logits)
    return logits + tau * class_counts.clamp_min(1).to(logits.dtype).log()


def spread_adjustments(
    class_counts: Int[Tensor, " c"], num_experts: int, first: float, last: float
) -> Float[Tensor, "{num_experts} c"]:
    """Logit adjustments tau_m * log n_c of experts that are each trained for a class prior of their own.

    Args:
        class_counts: (C,) training images of each class; a class without any counts as one image.
        num_experts: M >= 1; the strengths tau_m are evenly spaced, and a single expert has the middle one.
        first: tau of the first expert.
        last: tau of the last expert.

    Returns:
        (M, C) float32.

    Source: Sanchez Aimar et al., Balanced Product of Calibrated Experts, CVPR 2023.

    Example:
        >>> spread_adjustments(torch.tensor([1, 10]), 3, 0.0, 2.0)
        tensor([[0.0000, 0.0000],
                [0.0000, 2.3026],
                [0.0000, 4.6052]])

    """
    middle = (first + last) / 2
    tau = torch.linspace(first, last, num_experts) if num_experts > 1 else torch.tensor([middle])
    return tau.to(class_counts.device).unsqueeze(1) * class_counts.clamp_min(1).float().log()


def logit_adjusted_cross_entropy(
    logits: Float[Tensor, "m b c"],
    target: Int[Tensor, " b"],
    class_counts: Int[Tensor, " c"],
    *,
    tau: float = 1.0,
) -> Float[Tensor, " m"]:
    """Classifier fine-tuning, Eq. 13: -log(n_y exp(z_y) / sum_c n_c exp(z_c)) of each expert.

    The printed sum over experts is the sum of what is returned.

    Args:
        logits: (M, B, C) of each expert.
        target: (B,) class indices in [0, C).
        class_counts: (C,) training images of each class; a class without any counts as one image.
        tau: exponent of n_c; 1 is the printed form, 0 the plain cross-entropy.

    Returns:
        (M,) batch mean per expert, in nats.

    Source: ICL, IJCAI 2025, section 3.4, after Menon et al., ICLR 2021.

    Example:
        Equal logits, 3 images against 1: -log(3/4).

        >>> logit_adjusted_cross_entropy(torch.zeros(1, 1, 2), torch.tensor([0]), torch.tensor([3, 1]))
        tensor([0.2877])

    """
    return expert_cross_entropy(logit_adjust(logits, class_counts, tau=tau), target)


def _target_log_probability(
    logits: Float[Tensor, "m b c"], target: Int[Tensor, " b"]
) -> Float[Tensor, "m b"]:
    index = target.long().expand(len(logits), -1).unsqueeze(-1)
    return upcast(logits).log_softmax(-1).gather(-1, index).squeeze(-1)
