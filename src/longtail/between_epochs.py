"""What a method computes between epochs: clusters of images, and which class gets which target.

Unlike losses this waits for the device: it is for `survey` and `start_epoch`, never for what runs in a step.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize, one_hot

ROUNDS = 10


@torch.no_grad()
def subclasses(
    features: Float[Tensor, "n d"], targets: Int[Tensor, " n"], clusters: Int[Tensor, " c"], *, seed: int
) -> Int[Tensor, " n"]:
    """Cut each class into clusters of its own: k-means on directions, ten rounds from images drawn at random.

    A cluster that loses all its images can only win those that are more than a right angle from all other centres, so
    that a class may end with fewer.

    Args:
        features: (N, D) of any length; the cosine is compared.
        targets: (N,) class indices in [0, C).
        clusters: (C,) how many of each class, from 1 to its images; one of a class without images is not looked at.
        seed: of the first centres.

    Returns:
        (N,) number of the cluster; no two classes share one.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1], [0.0, 1.0]])
        >>> one, other, like_one, alone = subclasses(
        ...     features, torch.tensor([0, 0, 0, 1]), torch.tensor([2, 1]), seed=0
        ... ).tolist()
        >>> one == like_one, len({one, other, alone})
        (True, 3)

    """
    directions, generator = normalize(features, dim=-1), torch.Generator().manual_seed(seed)
    result, first = torch.zeros_like(targets), 0
    for rows, wanted in zip(_rows(targets, len(clusters)), clusters.tolist(), strict=True):
        if len(rows):
            result[rows] = first + _clusters(directions[rows], wanted, generator)
        first += wanted
    return result


@torch.no_grad()
def class_temperatures(
    features: Float[Tensor, "n d"],
    targets: Int[Tensor, " n"],
    clusters: Int[Tensor, " c"],
    *,
    temperature: float,
    smoothing: float = 10.0,
) -> Float[Tensor, " c"]:
    """Temperatures in proportion to how far a class's directions lie from their mean.

    A class's spread is the mean distance over log(images + smoothing), between the 20th and 80th percentile of all
    classes with images; its temperature is temperature * spread / mean spread, and at least a tenth of `temperature`.

    Args:
        features: (N, D) of any length; their directions are compared.
        targets: (N,) class indices in [0, C).
        clusters: (C,) as of `subclasses`; a class of one or none has `temperature`.
        temperature: > 0.
        smoothing: > 1; the larger, the less the number of images counts.

    Returns:
        (C,).

    Source: Hou et al., Subclass-balancing Contrastive Learning, ICCV 2023, after Li et al., Prototypical Contrastive
    Learning, ICLR 2021.

    """
    directions, spreads = normalize(features, dim=-1), []
    for rows in _rows(targets, len(clusters)):
        own = directions[rows]
        distance = (own - own.mean(0)).norm(dim=1).mean()
        spreads.append(distance / math.log(len(rows) + smoothing))
    spread = torch.stack(spreads)
    known = spread[~spread.isnan()]
    limits = known.quantile(torch.tensor([0.2, 0.8], dtype=known.dtype, device=known.device))
    spread, known = spread.clamp(*limits), known.clamp(*limits)
    own = (spread / known.mean()).nan_to_num(1.0).clamp_min(0.1) * temperature
    return own.masked_fill(clusters <= 1, temperature)


@torch.no_grad()
def matched_targets(centres: Float[Tensor, "m c d"], targets: Float[Tensor, "c d"]) -> Int[Tensor, " c"]:
    """Which target each class gets, each target once, so that the products with the classes' centres sum to the most.

    Args:
        centres: (M, C, D) of each expert; they get the same targets.
        targets: (C, D).

    Returns:
        (C,) indices of targets.

    Source: Li et al., Targeted Supervised Contrastive Learning, CVPR 2022.

    Example:
        >>> matched_targets(torch.tensor([[[0.0, 1.0], [0.9, 0.5]]]), torch.eye(2))
        tensor([1, 0])

    """
    likeness = centres.sum(0) @ targets.to(centres.dtype).T
    _, found = linear_sum_assignment(likeness.cpu().numpy(), maximize=True)
    return torch.from_numpy(found).to(centres.device)


def _rows(targets: Int[Tensor, " n"], classes: int) -> Sequence[Int[Tensor, " rows"]]:
    """The rows of each class."""
    ends = torch.bincount(targets, minlength=classes).cumsum(0)[:-1].cpu()
    return targets.argsort(stable=True).tensor_split(ends)


def _clusters(directions: Float[Tensor, "n d"], wanted: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    starts = torch.randperm(len(directions), generator=generator)[:wanted]
    centres = directions[starts.to(directions.device)]
    for _ in range(ROUNDS):
        nearest = (directions @ centres.T).argmax(1)
        sums = one_hot(nearest, len(centres)).to(directions.dtype).T @ directions
        centres = normalize(sums, dim=-1)
    return (directions @ centres.T).argmax(1)
