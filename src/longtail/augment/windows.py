"""What shows a part of each image: the padded crop with its mirror image, and Cutout."""

from typing import Literal

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from longtail.augment.geometry import affine, crop_flip, reflected_window
from longtail.augment.random import below
from longtail.augment.sampling import CROP_X, CROP_Y, CUTOUT_X, CUTOUT_Y, FLIP

CropFill = Literal["zeros", "reflect"]


def crop_and_flip(
    image: UInt8[Tensor, "b 3 h w"],
    bits: Int[Tensor, "b s"],
    *,
    padding: int | None,
    fill: CropFill,
    flip: bool,
) -> UInt8[Tensor, "b 3 h w"]:
    """A window of each image's size at a random place of the padded image, mirrored or not.

    Args:
        image: (B, 3, H, W) uint8.
        bits: (B, S) draws of the slots from 0.
        padding: pixels on each side; None does not crop.
        fill: what the padding shows.
        flip: whether to mirror half of the images.
    """
    mirrored = below(bits[:, FLIP], 2) if flip else torch.zeros_like(bits[:, FLIP])
    if padding is None:
        return _mirror(image, mirrored) if flip else image
    places = 2 * padding + 1
    top, left = (below(bits[:, slot], places) - padding for slot in (CROP_Y, CROP_X))
    if fill == "reflect":
        return reflected_window(image, top, left, mirrored)
    return affine(image, crop_flip(top, left, mirrored, image.shape[-1]), fill=0)


def cut_out(image: UInt8[Tensor, "b 3 h w"], bits: Int[Tensor, "b s"], size: int) -> UInt8[Tensor, "b 3 h w"]:
    """A black square of `size` pixels a side around a random pixel, clipped at the border."""
    rows, columns = (
        _outside(below(bits[:, slot], side), size, side)
        for slot, side in zip((CUTOUT_Y, CUTOUT_X), image.shape[-2:], strict=True)
    )
    return image * (rows[:, :, None] | columns[:, None, :]).to(torch.uint8)[:, None]


def _mirror(image: UInt8[Tensor, "b 3 h w"], flip: Int[Tensor, " b"]) -> UInt8[Tensor, "b 3 h w"]:
    """Left to right where `flip` is 1; on a CPU only those are touched, elsewhere no size depends on values."""
    if not image.is_cpu:
        return torch.where(flip[:, None, None, None] == 1, image.flip(-1), image)
    mirrored, rows = image.clone(), flip.nonzero()[:, 0]
    mirrored[rows] = image[rows].flip(-1)
    return mirrored


def _outside(centre: Int[Tensor, " b"], size: int, side: int) -> Tensor:
    """(B, side) True where a position is not in the stretch of `size` positions around the centre."""
    distance = torch.arange(side, device=centre.device) - centre[:, None] + size // 2
    return (distance < 0) | (distance >= size)
