"""Gaussian blur of uint8 batches, each image by its own deviation, in whole numbers."""

import math

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from longtail.augment.geometry import reflected

_FIXED_POINT = 1 << 22


def kernel_size(height: int, width: int) -> int:
    """About a tenth of the shorter side, odd, at least 3: 3 of 32 pixels, 23 of 224."""
    return max(3, min(height, width) // 10 | 1)


def gaussian(sigma: float, size: int) -> Float64[Tensor, " size"]:
    """Weights of the pixels in a row, whole numbers with nearly the sum 2^22.

    Args:
        sigma: deviation in pixels, > 0.
        size: an odd number of pixels.
    """
    weight = [math.exp(-0.5 * ((place - size // 2) / sigma) ** 2) for place in range(size)]
    return torch.tensor([round(one / sum(weight) * _FIXED_POINT) for one in weight], dtype=torch.float64)


def blur(image: UInt8[Tensor, "n 3 h w"], weight: Float64[Tensor, "n k"]) -> UInt8[Tensor, "n 3 h w"]:
    """What torchvision's `gaussian_blur` with reflected borders computes, to within one grey level.

    Sums of whole numbers below 2^53 are exact in float64, so their order, and with it the device, is of no account.

    Args:
        image: (n, 3, H, W) uint8.
        weight: (n, K) from `gaussian`, K odd.
    """
    size, (height, width) = weight.shape[1], image.shape[-2:]
    around = torch.arange(-(size // 2), size // 2 + max(height, width), device=image.device)
    taps = weight[:, :, None, None, None].unbind(1)
    wide = image.double()[..., reflected(around[: width + size - 1], width)]
    rows = torch.zeros_like(wide[..., :width])
    for place, tap in enumerate(taps):
        rows.addcmul_(wide[..., place : place + width], tap)
    high = rows[..., reflected(around[: height + size - 1], height), :]
    total = torch.zeros_like(high[..., :height, :])
    for place, tap in enumerate(taps):
        total.addcmul_(high[..., place : place + height, :], tap)
    return (total * (1 / _FIXED_POINT**2) + 0.5).floor().to(torch.uint8)
