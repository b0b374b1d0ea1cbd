"""Groups of classes by their number of training images, whatever the order of the classes; made before training."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def ordered_groups(counts: Int[Tensor, " c"], edges: Sequence[int] = (100, 20)) -> Bool[Tensor, "g c"]:
    """Which classes are many-, medium- and few-shot: n > 100, 20 <= n <= 100, n < 20.

    Args:
        counts: (C,) training images of each class, in any order.
        edges: falling numbers of images. A class is in the first group that it reaches, of: more images than
            edges[0]; at least edges[1], edges[2], ...; any number.

    Returns:
        (G, C) with G = len(edges) + 1: each class is in one group; a group can be empty.

    Raises:
        ValueError: the edges do not fall, or there are none.

    Example:
        >>> ordered_groups(torch.tensor([100, 19, 101])).int()
        tensor([[0, 0, 1],
                [1, 0, 0],
                [0, 1, 0]], dtype=torch.int32)

    """
    if not edges or any(upper <= lower for upper, lower in pairwise(edges)):
        raise ValueError(f"edges are falling numbers of images, such as (100, 20), not {tuple(edges)}")
    first = counts > edges[0]
    reached = torch.stack([first, *(counts >= edge for edge in edges[1:]), torch.ones_like(first)])
    return torch.cat((reached[:1], reached[1:] & ~reached[:-1]))


def tail_groups(counts: Int[Tensor, " c"], shares: Sequence[float] = (0.35, 0.7)) -> Bool[Tensor, "g c"]:
    """Nested groups: all classes, then those that remain without the largest 35 %, without the largest 70 %, ...

    Args:
        counts: (C,) training images of each class, in any order; equal ones are sorted by the lower index.
        shares: rising shares of the classes in [0, 1) that a group after the first leaves out; rounded to whole
            classes, but one class always stays.

    Returns:
        (G, C) with G = len(shares) + 1.

    Source: Cui et al., ResLT, TPAMI 2022, whose code names the classes of CIFAR-100 that its branches see.

    Example:
        >>> tail_groups(torch.tensor([1, 6, 3, 2]), (0.25, 0.5)).int()
        tensor([[1, 1, 1, 1],
                [1, 0, 1, 1],
                [1, 0, 0, 1]], dtype=torch.int32)

    """
    classes = len(counts)
    order = counts.argsort(descending=True, stable=True)
    place = torch.empty_like(order).index_copy_(0, order, torch.arange(classes, device=counts.device))
    return torch.stack([place >= min(round(share * classes), classes - 1) for share in (0.0, *shares)])


def equal_mass_groups(counts: Int[Tensor, " c"], groups: int) -> Bool[Tensor, "g c"]:
    """Classes sorted by their images and cut where the groups come closest to equal numbers of images.

    Args:
        counts: (C,) training images of each class, in any order; equal ones are sorted by the lower index.
        groups: G, from 1 to C.

    Returns:
        (G, C): each class is in one group, the largest classes in the first, and no group is empty.

    Raises:
        ValueError: there are fewer classes than groups, or no group.

    Source: Tao et al., Local and Global Logit Adjustments (LGLA), ICCV 2023.

    Example:
        6 images against 3 + 2 + 1:

        >>> equal_mass_groups(torch.tensor([1, 6, 3, 2]), 2).int()
        tensor([[0, 1, 0, 0],
                [1, 0, 1, 1]], dtype=torch.int32)

    """
    classes = len(counts)
    if not 1 <= groups <= classes:
        raise ValueError(f"groups of {classes} classes are 1 to {classes}, not {groups}")
    order = counts.argsort(descending=True, stable=True)
    reached = counts[order].cumsum(0).double()
    place = torch.arange(classes, device=counts.device)
    start, group_of = place.new_zeros(()), torch.zeros_like(place)
    for group in range(1, groups):
        wanted = reached[-1] * group / groups
        allowed = (place >= start) & (place < classes - (groups - group))  # a class at least for each group
        start = (reached - wanted).abs().masked_fill(~allowed, torch.inf).argmin() + 1
        group_of = group_of + (place >= start)
    members = torch.arange(groups, device=counts.device).unsqueeze(1)
    return torch.zeros_like(group_of).index_copy_(0, order, group_of) == members
