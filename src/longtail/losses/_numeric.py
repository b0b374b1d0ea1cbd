"""Numerical helpers of the losses: full precision under autocast, unit vectors that are safe at zero."""

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_NORM = 1e-12


def upcast(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """float16 and bfloat16 become float32; float32 and float64 stay as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(tensor: Tensor) -> torch.autocast:
    """A context on the tensor's device in which autocast does not lower the precision of matrix products."""
    return torch.autocast(tensor.device.type, enabled=False)


def unit(vectors: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape d"]:
    """Vectors over their norm; one shorter than 1e-12 becomes the zero vector and gets zero gradient."""
    squared = vectors.square().sum(-1, keepdim=True)
    known = squared > SMALLEST_NORM**2
    return vectors * torch.where(known, squared, 1.0).rsqrt() * known
