"""Heat maps as pictures: colours over a grey copy of the image."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

COLORS = "inferno"
"""Its lightness rises evenly, so the colour-blind and a grey print tell much from little as well."""
STRONGEST = 0.78
"""Opacity of the colour where a map is 1; where it is 0 the grey image shows alone."""


@cache
def colors() -> UInt8[np.ndarray, "256 3"]:
    import matplotlib

    shades = matplotlib.colormaps[COLORS](np.linspace(0.2, 1, 256))[:, :3]
    return np.asarray(np.rint(shades * 255), dtype=np.uint8)


def overlay(picture: UInt8[Tensor, "3 s s"], heat: Float[Tensor, "h w"]) -> UInt8[Tensor, "3 s s"]:
    """A heat map laid over a darkened grey copy of a picture.

    Args:
        picture: RGB.
        heat: in [0, 1]; brought to the picture's size by bilinear interpolation.
    """
    side = picture.shape[-2:]
    large = interpolate(heat[None, None].cpu(), side, mode="bilinear", align_corners=False)[0, 0]
    grey = picture.cpu().float().mul(torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=0)
    painted = torch.from_numpy(colors())[(large * 255).round().long()].permute(2, 0, 1).float()
    opacity = large * STRONGEST
    return (grey * 0.85 * (1 - opacity) + painted * opacity).round().clamp(0, 255).to(torch.uint8)


def fit(picture: UInt8[Tensor, "3 s s"], side: int) -> UInt8[Tensor, "3 p p"]:
    """A picture of at most `side` pixels: shrunk smoothly, or enlarged by a whole factor, its pixels left square."""
    image = Image.fromarray(picture.cpu().permute(1, 2, 0).contiguous().numpy())
    if image.width >= side:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    else:
        length = image.width * (side // image.width)
        image = image.resize((length, length), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
