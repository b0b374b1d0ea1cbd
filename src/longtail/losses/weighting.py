"""Class weights, and cross-entropies with sample weights or with two mixed labels."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.losses._numeric import upcast
from longtail.losses.classification import sample_cross_entropy


def class_weights(
    counts: Int[Tensor, " c"],
    *,
    rule: Literal["inverse", "effective"] = "inverse",
    beta: float = 0.9999,
    power: float = 1.0,
) -> Float[Tensor, " c"]:
    """Weights of classes that grow as their images get fewer: 1/n^power, or (1 - beta)/(1 - beta^n).

    Args:
        counts: (C,) training images of each class, in any order. A class without any counts as one image.
        rule: "inverse" is 1/n^power; "effective" is one over the effective number of images.
        beta: of "effective", in [0, 1): 0 gives equal weights, close to 1 those of "inverse".
        power: of "inverse": 0 gives equal weights, 1 the inverse counts.

    Returns:
        (C,) positive float32 weights with sum C.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

    Example:
        >>> class_weights(torch.tensor([3, 1]))
        tensor([0.5000, 1.5000])
        >>> class_weights(torch.tensor([2, 1]), rule="effective", beta=0.5)
        tensor([0.8000, 1.2000])

    """
    images = counts.clamp_min(1).float()
    if rule == "inverse":
        weights = (images / images.amin()) ** -power
    else:
        log_beta = math.log(beta) if beta else -math.inf
        weights = math.expm1(log_beta) / torch.expm1(log_beta * images)
    return weights * (len(counts) / weights.sum())


def weighted_cross_entropy(
    logits: Float[Tensor, "m b c"],
    target: Int[Tensor, " b"],
    weight: Float[Tensor, " c"],
    *,
    normalise: bool,
) -> Float[Tensor, " m"]:
    """Cross-entropy in which each sample has the weight of its class: sum_b w_y CE_b / sum_b w_y, or / B.

    Args:
        logits: (M, B, C) of each expert.
        target: (B,) class indices in [0, C), y.
        weight: (C,) of each class, >= 0, as `class_weights` gives them.
        normalise: True divides by the sum of the batch's weights, as PyTorch's weighted mean does; False by B.

    Returns:
        (M,) mean over the batch per expert, in nats.

    Example:
        Each sample costs log 2; their weights are 3 and 1:

        >>> zeros, target, weight = torch.zeros(1, 2, 2), torch.tensor([0, 1]), torch.tensor([3.0, 1.0])
        >>> weighted_cross_entropy(zeros, target, weight, normalise=True)
        tensor([0.6931])
        >>> weighted_cross_entropy(zeros, target, weight, normalise=False)
        tensor([1.3863])

    """
    losses = sample_cross_entropy(logits, target)
    drawn = weight.to(losses.dtype).index_select(0, target)
    total = (losses * drawn).sum(1)
    return total / drawn.sum().clamp_min(torch.finfo(drawn.dtype).tiny) if normalise else total / len(target)


def soft_cross_entropy(
    logits: Float[Tensor, "m b c"],
    target: Int[Tensor, " b"],
    other: Int[Tensor, " b"],
    share: Float[Tensor, "#b"] | Float[Tensor, ""] | float,
    *,
    weight: Float[Tensor, " c"] | None = None,
) -> Float[Tensor, " m"]:
    """Cross-entropy with two labels, of a mixed image: share * CE(target) + (1 - share) * CE(other).

    Args:
        logits: (M, B, C) of each expert.
        target: (B,) class indices in [0, C).
        other: (B,) class indices in [0, C) of what was mixed in.
        share: of `target`, in [0, 1]: one number, or (B,) one for each sample.
        weight: (C,) weights of the classes, each label's term times its own; None weighs all alike.

    Returns:
        (M,) batch mean per expert (of weighted terms: divided by B), in nats.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.

    Example:
        p = (1/4, 3/4): 0.5 log 4 + 0.5 log(4/3)

        >>> soft_cross_entropy(torch.tensor([[[1.0, 3.0]]]).log(), torch.tensor([0]), torch.tensor([1]), 0.5)
        tensor([0.8370])

    """
    log_probability = upcast(logits).log_softmax(-1)
    first = (
        share.to(log_probability.dtype) if isinstance(share, Tensor) else log_probability.new_full((), share)
    )
    shares = torch.stack((first.expand(len(target)), (1 - first).expand(len(target))), -1)
    labels = torch.stack((target.long(), other.long()), -1)
    if weight is not None:
        shares = shares * weight.to(shares.dtype)[labels]
    index = labels.expand(len(logits), -1, -1)
    return -(log_probability.gather(-1, index) * shares).sum(-1).mean(1)


def binary_soft_cross_entropy(
    logits: Float[Tensor, "m b c"],
    target: Int[Tensor, " b"],
    other: Int[Tensor, " b"],
    share: Float[Tensor, ""] | float,
) -> Float[Tensor, " m"]:
    """Binary cross-entropy of each class's softmax probability: -sum_c t_c log p_c + (1 - t_c) log(1 - p_c).

    t is `share` for `target` and 1 - share for `other` (1 where they are the same class), else 0. The least value is
    at p = t, as that of `soft_cross_entropy`.

    Args:
        logits: (M, B, C) of each expert, C >= 2.
        target: (B,) class indices in [0, C).
        other: (B,) class indices in [0, C) of what was mixed in.
        share: of `target`, in [0, 1].

    Returns:
        (M,) batch mean per expert of the sum over classes, in nats.

    Source: Baik et al., DBN-Mix, Pattern Recognition 2024.

    Example:
        p = (1/2, 1/2) against t = (1, 0): twice log 2.

        >>> binary_soft_cross_entropy(torch.zeros(1, 1, 2), torch.tensor([0]), torch.tensor([0]), 1.0)
        tensor([1.3863])

    """
    log_yes = upcast(logits).log_softmax(-1)
    best = log_yes.argmax(-1, keepdim=True)
    # 1 - p of the largest p is the sum of the others; so no logarithm is taken of a difference near zero.
    rest = log_yes.scatter(-1, best, -torch.inf)
    log_no = torch.log1p(-rest.exp()).scatter(-1, best, rest.logsumexp(-1, keepdim=True))
    first = share.to(log_yes.dtype) if isinstance(share, Tensor) else log_yes.new_full((), share)
    labels = torch.stack((target.long(), other.long()), -1).expand(len(logits), -1, -1)
    odds = (log_yes - log_no).gather(-1, labels)
    return -(odds[..., 0] * first + odds[..., 1] * (1 - first) + log_no.sum(-1)).mean(1)
