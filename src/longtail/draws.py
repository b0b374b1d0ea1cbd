"""Random numbers of a method: functions of (seed, epoch, image), made on the batch's device without waiting for it.

An image that an epoch shows again has other numbers then. Whatever a method draws in `prepare`, `mix` or `loss` comes
from here, so that a run can be resumed to the bit, several processes draw the same, and a step that is recorded once
draws new numbers at each replay. Each use of its own takes its own `slot`: the same slot gives the same numbers again.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import betaincinv
from torch import Tensor, nn

from longtail.augment.random import TWO_32, draw_bits
from longtail.types import Batch

_QUANTILES = 4096


def uniform(batch: Batch, count: int = 1, *, slot: int = 0) -> Float[Tensor, "b s"]:
    """Numbers in (0, 1), independent of each other: row b depends on image b, how often it was shown, and the epoch.

    Args:
        batch: from the engine, with `keys`.
        count: S, numbers an image; they take the slots `slot` to `slot + S - 1`.
        slot: number of the first.

    Returns:
        (B, S) float32.
    """
    if batch.keys is None:
        raise ValueError("this batch has no keys; those that the engine makes have")
    bits = draw_bits(batch.drawn_by, count, batch.keys, first_slot=slot)
    return ((bits >> 9).float() + 0.5) / (TWO_32 >> 9)


def normal(batch: Batch, count: int = 1, *, slot: int = 0) -> Float[Tensor, "b s"]:
    """Standard normal numbers; see `uniform`."""
    return math.sqrt(2) * torch.erfinv(2 * uniform(batch, count, slot=slot) - 1)


def permutation(batch: Batch, *, slot: int = 0) -> Int[Tensor, " b"]:
    """The rows of the batch in random order: each image's partner; see `uniform`."""
    return uniform(batch, slot=slot)[:, 0].argsort(stable=True)


class Beta(nn.Module):
    """Numbers from Beta(alpha, alpha): the shares of mixup (Zhang et al. 2018).

    By linear interpolation between 4,097 quantiles.

    Args:
        alpha: > 0; 1 is uniform, less is more often near 0 or 1.
    """

    quantiles: Tensor

    def __init__(self, alpha: float) -> None:
        super().__init__()
        quantiles = betaincinv(alpha, alpha, np.linspace(0, 1, _QUANTILES + 1))
        self.register_buffer("quantiles", torch.from_numpy(quantiles).float(), persistent=False)

    def forward(self, batch: Batch, *, slot: int = 0) -> Float[Tensor, " b"]:
        """(B,) a number for each image; see `uniform`."""
        at = uniform(batch, slot=slot)[:, 0] * _QUANTILES
        below = at.long().clamp_max(_QUANTILES - 1)
        return torch.lerp(self.quantiles[below], self.quantiles[below + 1], at - below)

    def share(self, batch: Batch, *, slot: int = 0) -> Float[Tensor, ""]:
        """One number for the whole batch, that of its first image."""
        return self.forward(batch, slot=slot)[0]
