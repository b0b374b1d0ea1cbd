"""Projection heads between the experts' features and a contrastive loss."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.losses._numeric import without_autocast


class Projection(nn.Module):
    """Linear layers with ReLU between them, each expert with weights of its own; one layer is a linear classifier.

    It keeps no statistics: batch norm is that of the rows at hand, each expert's and all R of them together, and of a
    single row it leaves the shift alone.

    Args:
        num_experts: M >= 1.
        widths: D, the width of each hidden layer, and that of the result: two or more.
        batch_norm: normalise before each ReLU.

    """

    def __init__(self, num_experts: int, *widths: int, batch_norm: bool = False) -> None:
        super().__init__()
        shapes, hidden = list(pairwise(widths)), widths[1:-1] if batch_norm else ()
        self.weights = nn.ParameterList(
            torch.empty(num_experts, out, inputs).uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
            for inputs, out in shapes
        )
        self.biases = nn.ParameterList(
            torch.empty(num_experts, 1, out).uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
            for inputs, out in shapes
        )
        self.scales = nn.ParameterList(torch.ones(num_experts, 1, width) for width in hidden)
        self.shifts = nn.ParameterList(torch.zeros(num_experts, 1, width) for width in hidden)

    def forward(self, features: Float[Tensor, "m r d"]) -> Float[Tensor, "m r e"]:
        """(M, R, E) in the precision of the weights, under autocast too."""
        with without_autocast(features):
            rows = features.to(self.weights[0].dtype)
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                if layer:
                    rows = self._normalised(rows, layer - 1).relu()
                rows = torch.baddbmm(bias, rows, weight.mT)
        return rows

    def _normalised(self, rows: Float[Tensor, "m r e"], layer: int) -> Float[Tensor, "m r e"]:
        if not len(self.scales):
            return rows
        centred = rows - rows.mean(1, keepdim=True)
        spread = (centred.square().mean(1, keepdim=True) + 1e-5).rsqrt()
        result: Tensor = centred * spread * self.scales[layer] + self.shifts[layer]
        return result
