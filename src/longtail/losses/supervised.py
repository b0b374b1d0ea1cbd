"""Supervised contrastive losses between features, and the choice of positive pairs."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from longtail.losses._numeric import unit, upcast, without_autocast


def supervised_contrastive(
    anchors: Float[Tensor, "m a d"],
    target: Int[Tensor, " a"],
    keys: Float[Tensor, "m e d"] | None = None,
    key_target: Int[Tensor, " e"] | None = None,
    *,
    temperature: float | Float[Tensor, " a"] = 0.1,
    among_anchors: bool = True,
    positives: Shaped[Tensor, "a k"] | None = None,
    valid: Bool[Tensor, "a k"] | None = None,
    denominators: Literal["plain", "class_averaged"] = "plain",
) -> Float[Tensor, " m"]:
    """Pull each anchor to the keys of its class: -sum_k a_ik log p_ik / sum_k a_ik, averaged over the anchors.

    p_ik = exp(s_ik) / sum_l exp(s_il) / w_il with s = cos(anchor, key) / temperature. The K keys are the A
    anchors themselves, in their order, and then the E given ones. No anchor is compared with itself.

    Args:
        anchors: (M, A, D) of each expert, of any length: two views of B images are A = 2B rows.
        target: (A,) class indices >= 0.
        keys: (M, E, D) further keys: class centres, targets or a queue.
        key_target: (E,) their class indices; a key of class -1 is left out, as of a `KeyQueue` not yet full.
        temperature: > 0, one number or (A,) one for each anchor.
        among_anchors: False leaves the anchors out of the keys, so that K = E.
        positives: (A, K) weights a >= 0, or booleans; None takes `positive_pairs`. Pairs that are not valid
            are left out.
        valid: (A, K) False leaves a pair out of both sums; None keeps all.
        denominators: "plain" is w = 1; "class_averaged" divides by the number of valid keys of l's class, so
            that each class counts once in the denominator, however many keys it has.

    Returns:
        (M,) mean over all anchors per expert, in nats; an anchor without positives contributes 0.

    Source: plain: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020; class_averaged: Zhu et al.,
    Balanced Contrastive Learning, CVPR 2022.

    Example:
        The positive is at cosine 1, the one negative at 0: log(1 + 1/e); it has no positive of its own.

        >>> anchors = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]])
        >>> 3 / 2 * supervised_contrastive(anchors, torch.tensor([0, 0, 1]), temperature=1.0)
        tensor([0.3133])

    """
    scores, key_target = _scores(anchors, target, keys, key_target, temperature, among_anchors)
    pairs = positive_pairs(target, key_target, among_anchors=False) if positives is None else positives
    return _contrast(
        scores, pairs, _kept(key_target, len(target), among_anchors, valid), key_target, denominators
    )


def parametric_contrastive(
    logits: Float[Tensor, "m a c"],
    anchors: Float[Tensor, "m a d"],
    target: Int[Tensor, " a"],
    keys: Float[Tensor, "m e d"],
    key_target: Int[Tensor, " e"],
    *,
    key_weight: float,
    own_weight: float = 1.0,
    temperature: float = 0.05,
    among_anchors: bool = True,
) -> Float[Tensor, " m"]:
    """Contrast with learned class centres beside the keys: one softmax over the logits and the similarities.

    -sum_k a_ik log p_ik / sum_k a_ik, where the own class's logit weighs `own_weight` and each key of the class
    `key_weight`.

    Args:
        logits: (M, A, C) of each expert, with the prior added where wanted (`logit_adjust`).
        anchors: (M, A, D) projected features of each expert, of any length.
        target: (A,) class indices in [0, C).
        keys: (M, E, D) further keys, as in `supervised_contrastive`.
        key_target: (E,) their class indices, -1 for one to be left out.
        key_weight: a of each key of the anchor's class, >= 0.
        own_weight: a of the anchor's class itself, > 0.
        temperature: > 0, of the cosines; the logits are taken as they are.
        among_anchors: whether the anchors are keys of each other.

    Returns:
        (M,) mean over the anchors per expert, in nats.

    Source: Cui et al., Parametric Contrastive Learning, ICCV 2021; without the anchors among the keys:
    Generalized Parametric Contrastive Learning, TPAMI 2023.

    Example:
        Weights 1 and 1 on two of three equal scores: log 3.

        >>> parametric_contrastive(torch.zeros(1, 1, 2), torch.zeros(1, 1, 3), torch.tensor([0]),
        ...                        torch.zeros(1, 1, 3), torch.tensor([0]), key_weight=1.0)
        tensor([1.0986])

    """
    scores, key_target = _scores(anchors, target, keys, key_target, temperature, among_anchors)
    own = target.unsqueeze(1) == torch.arange(logits.shape[2], device=target.device)
    same = positive_pairs(target, key_target, among_anchors=False)
    scores = torch.cat((upcast(logits).to(scores.dtype), scores), 2)
    weights = torch.cat((own_weight * own, key_weight * same), 1)
    kept = torch.cat((torch.ones_like(own), _kept(key_target, len(target), among_anchors, None)), 1)
    return _contrast(scores, weights, kept, key_target, "plain")


def positive_pairs(
    target: Int[Tensor, " a"], key_target: Int[Tensor, " e"] | None = None, *, among_anchors: bool = True
) -> Bool[Tensor, "a k"]:
    """Which keys have the anchor's class: the A anchors in their order, each without itself, then the E given.

    Args:
        target: (A,) class indices >= 0 of the anchors.
        key_target: (E,) of further keys.
        among_anchors: False leaves the anchors out, so that K = E.

    Returns:
        (A, K).

    Example:
        >>> positive_pairs(torch.tensor([0, 0]), torch.tensor([1, 0])).int()
        tensor([[0, 1, 0, 1],
                [1, 0, 0, 1]], dtype=torch.int32)

    """
    own = [target.unsqueeze(1) == target] if among_anchors else []
    given = [] if key_target is None else [target.unsqueeze(1) == key_target]
    for pairs in own:
        pairs.fill_diagonal_(False)
    return torch.cat(own + given, 1)


def sampled_positives(
    pairs: Bool[Tensor, "a k"], draws: Float[Tensor, "a k"], count: int
) -> Bool[Tensor, "a k"]:
    """Of each anchor's pairs the `count` with the smallest draws, all where there are fewer.

    Args:
        pairs: (A, K) as `positive_pairs` gives them.
        draws: (A, K) random numbers; a pair with a smaller one than all others, such as -1, is always taken.
        count: >= 1.

    Returns:
        (A, K) True for at most `count` of the pairs of each anchor.

    Source: Kang et al., Exploring Balanced Feature Spaces for Representation Learning (KCL), ICLR 2021.

    Example:
        >>> pairs, draws = torch.tensor([[True, False, True, True]]), torch.tensor([[0.3, 0.0, 0.9, 0.2]])
        >>> sampled_positives(pairs, draws, 2).int()
        tensor([[1, 0, 0, 1]], dtype=torch.int32)

    """
    chosen = draws.masked_fill(~pairs, torch.inf).topk(min(count, pairs.shape[1]), largest=False).indices
    return torch.zeros_like(pairs).scatter(1, chosen, True) & pairs


def simplex_targets(classes: int, dim: int) -> Float[Tensor, "{classes} {dim}"]:
    """Unit vectors as far from each other as C of them can be: all cosines are -1/(C - 1).

    Args:
        classes: C, from 2 to D + 1.
        dim: D; those beyond C - 1 are zero.

    Returns:
        (C, D) float32.

    Raises:
        ValueError: so many classes do not fit into the dimensions.

    Source: Li et al., Targeted Supervised Contrastive Learning, CVPR 2022: the optimum of its uniformity loss.

    Example:
        >>> simplex_targets(3, 2)
        tensor([[ 0.8660,  0.5000],
                [-0.8660,  0.5000],
                [ 0.0000, -1.0000]])

    """
    if not 2 <= classes <= dim + 1:
        raise ValueError(f"{dim} dimensions have targets for 2 to {dim + 1} classes, not {classes}")
    step = torch.arange(
        1, classes, dtype=torch.float64
    )  # column k: the mean of classes 0..k-1 against class k
    row = torch.arange(classes).unsqueeze(1)
    columns = torch.where(row < step, 1.0, torch.where(row == step, -step, 0.0)) / (step * (step + 1)).sqrt()
    targets = torch.zeros(classes, dim)
    targets[:, : classes - 1] = columns * (classes / (classes - 1)) ** 0.5
    return targets


def _scores(
    anchors: Float[Tensor, "m a d"],
    target: Int[Tensor, " a"],
    keys: Float[Tensor, "m e d"] | None,
    key_target: Int[Tensor, " e"] | None,
    temperature: float | Float[Tensor, " a"],
    among_anchors: bool,
) -> tuple[Float[Tensor, "m a k"], Int[Tensor, " k"]]:
    """Cosines over the temperature of the anchors with all keys, and the classes of the keys."""
    given, labels = ([], []) if keys is None or key_target is None else ([keys], [key_target])
    if among_anchors:
        given, labels = [anchors, *given], [target, *labels]
    directions = unit(upcast(anchors))
    compared = torch.cat([unit(upcast(one)).to(directions.dtype) for one in given], 1)
    with without_autocast(directions):
        cosines = directions @ compared.transpose(1, 2)
    scale = temperature.unsqueeze(1) if isinstance(temperature, Tensor) else temperature
    return cosines / scale, torch.cat([one.long() for one in labels])


def _kept(
    key_target: Int[Tensor, " k"], anchors: int, among_anchors: bool, valid: Bool[Tensor, "a k"] | None
) -> Bool[Tensor, "a k"]:
    """Pairs of an anchor with a key that is there, is not the anchor itself and is not left out."""
    kept = (key_target >= 0).repeat(anchors, 1)
    if among_anchors:
        kept.fill_diagonal_(False)
    return kept if valid is None else kept & valid


def _contrast(
    scores: Float[Tensor, "m a k"],
    positives: Shaped[Tensor, "a k"],
    kept: Bool[Tensor, "a k"],
    key_target: Int[Tensor, " e"],
    denominators: Literal["plain", "class_averaged"],
) -> Float[Tensor, " m"]:
    compared = scores
    if denominators == "class_averaged":
        place = torch.searchsorted(key_target.sort().values, key_target).expand(
            kept.shape
        )  # one for each class
        of_class = torch.zeros_like(kept, dtype=scores.dtype).scatter_add(1, place, kept.to(scores.dtype))
        compared = scores - of_class.gather(1, place).clamp_min(1).log()
    # The smallest number rather than -inf: an anchor without keys then has a gradient of zero, not of NaN.
    total = compared.masked_fill(~kept, torch.finfo(scores.dtype).min).logsumexp(-1, keepdim=True)
    weights = positives.to(scores.dtype) * kept
    losses = (weights * (total - scores)).sum(-1) / weights.sum(-1).clamp_min(torch.finfo(scores.dtype).tiny)
    return losses.mean(1)
