"""Between a network's pooled features and the classifiers: standardisation, and an optional hidden layer per expert."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Neck(nn.Module):
    """Standardises each channel of the features, and optionally applies a hidden layer for each expert.

    h = (f - mean) / deviation, and with H hidden units relu(W_m h + b_m). Mean and deviation are buffers: 0 and 1
    until `standardize` sets them, and never trained.

    Args:
        num_experts: M.
        dim: D of the features that come in.
        hidden_units: H; 0: no hidden layer, and all experts see the same.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, num_experts: int, dim: int, hidden_units: int = 0) -> None:
        super().__init__()
        self.num_experts = num_experts
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))
        self.weight: nn.Parameter | None = None
        self.bias: nn.Parameter | None = None
        if hidden_units:
            bound = math.sqrt(6 / dim)  # He et al. 2015, for what a ReLU follows
            shape = num_experts, hidden_units, dim
            self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
            self.bias = nn.Parameter(torch.zeros(num_experts, 1, hidden_units))

    def forward(self, features: Float[Tensor, "n b d"]) -> Float[Tensor, "m b h"]:
        """Of each expert's features, or, n = 1, of those that all experts share."""
        with torch.autocast(features.device.type, enabled=False):
            level = (features.to(self.mean.dtype) - self.mean) / self.deviation
            level = level.expand(self.num_experts, -1, -1)
            if self.weight is None or self.bias is None:
                return level
            return torch.baddbmm(self.bias, level, self.weight.mT).relu()

    @torch.no_grad()
    def standardize(self, blocks: Iterable[Float[Tensor, "b d"]], smallest: float = 0.05) -> None:
        """Take mean and deviation of each channel from the features of images.

        Args:
            blocks: (B, D) at a time, one block at least.
            smallest: share of the mean deviation that a channel's counts as at least, so that one that hardly ever
                differs from its mean is not blown up.
        """
        count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for block in blocks:
            wide = block.cpu().double()
            count, total, squares = count + len(wide), total + wide.sum(0), squares + wide.square().sum(0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
        floor = (smallest * deviation.mean()).clamp_min(1e-6)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(floor))
