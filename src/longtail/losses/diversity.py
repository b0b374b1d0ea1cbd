"""Diversity losses: the similarity of the experts' features of the same image, which training minimises."""

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.losses._numeric import unit, upcast, without_autocast


def adaptive_diversity(features: Float[Tensor, "m b d"]) -> Float[Tensor, ""]:
    """Adaptive diversity, Eq. 3: sum over ordered pairs m != m' of cos(h^m, h^m').

    Computed as |sum_m u^m|^2 - sum_m |u^m|^2 with unit vectors u, linear in M. Its floor is -M (experts that
    cancel each other), so it can take a whole objective below zero; the two variants below stay >= 0.

    Args:
        features: (M, B, D) of each expert. A zero vector has cosine 0 with everything and gets no gradient.

    Returns:
        Batch mean, in [-M, M(M-1)]; every pair counts twice. 0 for a single expert.

    Source: ICL, IJCAI 2025, section 3.2. The released form is `feature_distance`.

    Example:
        Two equal directions are two ordered pairs of cosine 1:

        >>> adaptive_diversity(torch.tensor([[[1.0, 0.0]], [[2.0, 0.0]]]))
        tensor(2.)

    """
    directions = unit(upcast(features))
    together = directions.sum(0).square().sum(-1)
    alone = directions.square().sum((0, 2))
    return (together - alone).mean()


def adaptive_diversity_floored(features: Float[Tensor, "m b d"]) -> Float[Tensor, ""]:
    """Adaptive diversity with each pair's cosine floored at 0: orthogonal experts are diverse enough.

    Args:
        features: (M, B, D) of each expert.

    Returns:
        Batch mean of the sum over ordered pairs, in [0, M(M-1)].

    Example:
        Opposite directions cost nothing:

        >>> adaptive_diversity_floored(torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]]))
        tensor(0.)

    """
    return _pair_cosines(features).clamp_min(0).sum((1, 2)).mean()


def adaptive_diversity_squared(features: Float[Tensor, "m b d"]) -> Float[Tensor, ""]:
    """Adaptive diversity with squared cosines: pushes experts towards orthogonal, not opposite, features.

    Args:
        features: (M, B, D) of each expert.

    Returns:
        Batch mean of the sum over ordered pairs, in [0, M(M-1)].

    Example:
        A cosine of 0.6, twice:

        >>> adaptive_diversity_squared(torch.tensor([[[1.0, 0.0]], [[3.0, 4.0]]]))
        tensor(0.7200)

    """
    return _pair_cosines(features).square().sum((1, 2)).mean()


def feature_distance(features: Float[Tensor, "m b d"]) -> Float[Tensor, ""]:
    """The released diversity: mean Euclidean distance between all feature vectors of all experts and images.

    Minimising it pulls features together instead of apart, and mostly shrinks their scale.

    Args:
        features: (M, B, D) of each expert.

    Returns:
        Mean over all (M*B)^2 ordered pairs of rows, the zeros of a row with itself included, in feature
        units. Equal rows get zero gradient.

    Example:
        Distances 0, 5, 5, 0:

        >>> feature_distance(torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]]))
        tensor(2.5000)

    """
    rows = upcast(features).flatten(0, 1)
    with without_autocast(rows):
        return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").mean()


def _pair_cosines(features: Float[Tensor, "m b d"]) -> Float[Tensor, "b m m"]:
    """Cosines between experts with a zero diagonal."""
    directions = unit(upcast(features)).transpose(0, 1)
    with without_autocast(directions):
        cosines = directions @ directions.transpose(1, 2)
    return cosines * (1 - torch.eye(len(features), dtype=cosines.dtype, device=cosines.device))
