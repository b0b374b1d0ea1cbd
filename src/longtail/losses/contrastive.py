"""Confusion contrastive loss: features against the prototypes of the classes that are most confused with their own."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from longtail.losses._numeric import unit, upcast, without_autocast


def confusion_contrastive(
    features: Float[Tensor, "m b d"],
    target: Int[Tensor, " b"],
    prototypes: Float[Tensor, "m c d"],
    negatives: Int[Tensor, "m b k"],
    valid: Bool[Tensor, "m b k"],
    *,
    temperature: float = 0.07,
    similarity: Literal["cosine", "dot"] = "cosine",
    reduction: Literal["sum", "mean"] = "sum",
) -> Float[Tensor, " m"]:
    """Confusion contrastive, Eq. 6: -log(e^(h.p_y/t) / (e^(h.p_y/t) + sum over c in N(y) of e^(h.p_c/t))).

    Args:
        features: (M, B, D) of each expert, h.
        target: (B,) class indices in [0, C), y.
        prototypes: (M, C, D) of each expert, p. An all-zero one has never been set: as a negative it is left
            out; a sample whose own prototype has never been set contributes 0.
        negatives: (M, B, K) class indices in [0, C), N(y), as `ConfusionTracker.most_confused` gives them.
        valid: (M, B, K) False leaves a negative out. A sample without any contributes 0 and no gradient.
        temperature: t > 0.
        similarity: "dot" is the printed h.p; "cosine" divides it by both norms, as the released form does.
        reduction: "sum" over the negatives as printed; "mean" divides that sum by their number, as the
            released form does.

    Returns:
        (M,) mean over the whole batch per expert, samples that contribute 0 included.

    Source: ICL, IJCAI 2025, section 3.2.

    Example:
        On its own prototype and orthogonal to the negative, log(1 + 1/e):

        >>> confusion_contrastive(torch.tensor([[[2.0, 0.0]]]), torch.tensor([0]), torch.eye(2)[None],
        ...                       torch.tensor([[[1]]]), torch.tensor([[[True]]]), temperature=1.0)
        tensor([0.3133])

    """
    experts = torch.arange(len(features), device=features.device).view(-1, 1, 1)
    own = upcast(prototypes.index_select(1, target)).unsqueeze(2)
    others = upcast(prototypes[experts, negatives])
    valid = valid & own.ne(0).any(-1) & others.ne(0).any(-1)
    anchor, compared = upcast(features), torch.cat((own, others), 2)
    if similarity == "cosine":
        anchor, compared = unit(anchor), unit(compared)
    with without_autocast(anchor):
        scores = torch.einsum("mbd,mbkd->mbk", anchor, compared.to(anchor.dtype)) / temperature
    positive, negative = scores[..., :1], scores[..., 1:]
    if reduction == "mean":
        negative = negative - valid.sum(-1, keepdim=True).clamp_min(1).to(scores.dtype).log()
    negative = negative.masked_fill(~valid, -torch.inf)
    losses = torch.cat((positive, negative), 2).logsumexp(-1) - positive.squeeze(-1)
    return losses.mean(1)
