"""Which images an epoch shows, in which order."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from longtail.types import InputError

Sampler = Literal["instance", "class_balanced", "square_root", "progressive"]
_STREAM = 0x6F72646572  # keeps these draws apart from others that use the same seed


def epoch_order(
    sampler: Sampler, targets: Int[Tensor, " n"], num_classes: int, *, seed: int, epoch: int, epochs: int
) -> Int[Tensor, " n"]:
    """Rows of one epoch, a function of (seed, epoch) alone (Kang et al. 2020).

    `instance` shows each image once. The others draw N images with replacement, class j with probability p_j:

    * class_balanced: p_j = 1/C;
    * square_root: p_j = sqrt(n_j) / sum_i sqrt(n_i);
    * progressive: p_j = (1 - t) n_j / N + t / C with t = epoch / (epochs - 1), from instances to classes.

    C counts the classes that have images. The order is the same on every process.

    Args:
        sampler: one of the four.
        targets: (N,) class of each image, in [0, C).
        num_classes: C.
        seed: the run's seed, >= 0.
        epoch: epochs finished, >= 0.
        epochs: length of the stage; only `progressive` uses it.

    Raises:
        InputError: an unknown sampler.
    """
    rng = np.random.default_rng([_STREAM, seed, epoch])
    if sampler == "instance":
        return torch.from_numpy(rng.permutation(len(targets)))
    labels = targets.cpu().numpy()
    counts = np.bincount(labels, minlength=num_classes)
    of_class = _class_probabilities(sampler, counts, epoch / max(1, epochs - 1))
    of_image = (of_class / np.maximum(counts, 1))[labels]
    edges = np.cumsum(of_image)
    drawn = np.searchsorted(edges, rng.random(len(labels)) * edges[-1], side="right")
    return torch.from_numpy(np.minimum(drawn, len(labels) - 1))


def _class_probabilities(sampler: Sampler, counts: NDArray[np.int64], done: float) -> NDArray[np.float64]:
    share = counts / counts.sum()
    root = np.sqrt(share)
    balanced = (counts > 0) / np.count_nonzero(counts)
    probabilities: dict[str, NDArray[np.float64]] = {
        "class_balanced": balanced,
        "square_root": root / root.sum(),
        "progressive": (1.0 - done) * share + done * balanced,
    }
    if sampler not in probabilities:
        raise InputError(f"unknown sampler {sampler}; use instance, {', '.join(probabilities)}")
    return probabilities[sampler]
