"""Which images an epoch shows, in which order."""

from typing import get_args

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from longtail.types import EFFECTIVE_BETA, InputError, Sampler

_STREAM = 0x6F72646572  # keeps these draws apart from others that use the same seed


def epoch_order(
    sampler: Sampler,
    targets: Int[Tensor, " n"],
    num_classes: int,
    *,
    seed: int,
    epoch: int,
    epochs: int,
    power: float = 1.0,
) -> Int[Tensor, " n"]:
    """Rows of one epoch, a function of (seed, epoch) alone (Kang et al. 2020).

    `instance` shows each image once. The others draw N images with replacement, class j with probability p_j:

    * class_balanced: p_j = 1/C;
    * square_root: p_j = sqrt(n_j) / sum_i sqrt(n_i);
    * progressive: p_j = (1 - t) n_j / N + t / C with t = epoch / (epochs - 1), from instances to classes;
    * power: p_j = n_j^power / sum_i n_i^power;
    * reverse: the same with power -1, so that the rarest class is shown most (Zhou et al. 2020);
    * effective: each image of class j with a weight of (1 - b) / (1 - b^n_j), b = 0.9999 (Cui et al. 2019).

    C counts the classes that have images. The order is the same on every process.

    Args:
        sampler: one of these.
        targets: (N,) class of each image, in [0, C).
        num_classes: C.
        seed: the run's seed, >= 0.
        epoch: epochs finished, >= 0.
        epochs: length of the stage; only `progressive` uses it.
        power: of `power`; others leave it out.

    Raises:
        InputError: an unknown sampler.
    """
    rng = np.random.default_rng([_STREAM, seed, epoch])
    if sampler == "instance":
        return torch.from_numpy(rng.permutation(len(targets)))
    labels = targets.cpu().numpy()
    counts = np.bincount(labels, minlength=num_classes)
    of_class = _class_probabilities(sampler, counts, epoch / max(1, epochs - 1), power)
    of_image = (of_class / np.maximum(counts, 1))[labels]
    edges = np.cumsum(of_image)
    drawn = np.searchsorted(edges, rng.random(len(labels)) * edges[-1], side="right")
    return torch.from_numpy(np.minimum(drawn, len(labels) - 1))


def showings(order: Int[Tensor, " k"], images: int) -> Int[Tensor, " k"]:
    """A number in [0, 2^32) for each place in an order, for what is random in it: the row itself where it comes first.

    So an image that an epoch shows several times looks different each time, as with a stream of random numbers.

    Args:
        order: (K,) rows in [0, images).
        images: of the split.

    Returns:
        (K,) row + images * (how often the row stands further ahead).

    >>> showings(torch.tensor([4, 1, 4, 4]), 5)
    tensor([ 4,  1,  9, 14])
    """
    rows, places = order.sort(stable=True)
    times = torch.arange(len(rows)) - torch.searchsorted(rows, rows)
    return (order + images * torch.empty_like(times).scatter_(0, places, times)) % 2**32


def _class_probabilities(
    sampler: Sampler, counts: NDArray[np.int64], done: float, power: float
) -> NDArray[np.float64]:
    has, share = counts > 0, counts / counts.sum()
    balanced = has / np.count_nonzero(has)
    powers = {"class_balanced": 0.0, "square_root": 0.5, "reverse": -1.0, "power": power}
    if sampler in powers:
        weights = np.maximum(counts, 1.0) ** powers[sampler] * has
    elif sampler == "effective":
        weights = counts / np.where(has, -np.expm1(counts * np.log(EFFECTIVE_BETA)), 1.0)
    elif sampler == "progressive":
        weights = (1.0 - done) * share + done * balanced
    else:
        raise InputError(f"unknown sampler {sampler}; use {', '.join(get_args(Sampler))}")
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities
