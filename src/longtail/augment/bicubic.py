"""Bicubic shears, bit for bit those of Pillow, which the much copied PIL port of AutoAugment uses."""

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor


def sheared(
    image: UInt8[Tensor, "n 3 h w"], shear: Float64[Tensor, " n"], fill: UInt8[Tensor, " n"]
) -> UInt8[Tensor, "n 3 h w"]:
    """Shear each image along its rows: Pillow's `Image.transform(size, AFFINE, (1, shear, 0, 0, 1, 0), BICUBIC)`.

    Four pixels of a row are weighed by the cubic convolution of a = -1 in double precision; beyond the row's ends its
    last pixel is taken again, and what starts outside the image becomes `fill`. The result is cut to whole numbers.

    Args:
        image: (n, 3, H, W) uint8.
        shear: (n,) pixels to the right for each pixel down, about the upper left corner.
        fill: (n,) grey values in [0, 255].
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=image.device, dtype=torch.float64)[:, None] + 0.5
    source = x + shear[:, None, None] * y
    inside = ((source >= 0) & (source < width))[:, None]
    source = source - 0.5
    first = source.floor()
    d = (source - first)[:, None]
    places = [(first.long() + tap).clamp(0, width - 1) for tap in (-1, 0, 1, 2)]
    v1, v2, v3, v4 = (
        image.gather(3, place[:, None].expand(-1, 3, -1, -1)).to(torch.float64) for place in places
    )
    p2, p3, p4 = -v1 + v3, 2 * (v1 - v2) + v3 - v4, -v1 + v2 - v3 + v4
    value = (v2 + d * (p2 + d * (p3 + d * p4))).clamp(0, 255).to(torch.uint8)
    return torch.where(inside, value, fill[:, None, None, None])
