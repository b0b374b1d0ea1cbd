"""Turning the hue of uint8 batches, bit for bit what Pillow and torchvision compute through Pillow's HSV."""

import torch
from jaxtyping import Float32, Int, UInt8
from torch import Tensor


def turn_hue(image: UInt8[Tensor, "n 3 h w"], shift: Float32[Tensor, " n"]) -> UInt8[Tensor, "n 3 h w"]:
    """What torchvision's `adjust_hue` makes of a picture: Pillow's HSV, hue plus `shift` modulo 256, and back.

    Each division is one of tensors, and types are those of Pillow's C code, so that every device rounds alike.

    Args:
        image: (n, 3, H, W) uint8.
        shift: (n,) whole numbers in [0, 256), of the circle's 256 steps.
    """
    hue, saturation, value = _to_hsv(image)
    return _to_rgb((hue + shift.int()[:, None, None]) & 255, saturation, value)


def _to_hsv(image: UInt8[Tensor, "n 3 h w"]) -> tuple[Tensor, Tensor, Tensor]:
    """`Image.convert("HSV")`: three (n, H, W) of int32 in [0, 255]."""
    one = image.new_ones((), dtype=torch.float64)
    highest, lowest = image.amax(1).int(), image.amin(1).int()
    spread = (highest - lowest).float()
    some = spread.clamp(min=1.0)  # a grey pixel has hue 0
    red, green, blue = ((highest - channel).float() / some for channel in image.int().unbind(1))
    from_green = (2.0 + red.double() - blue.double()).float()
    from_blue = (4.0 + green.double() - red.double()).float()
    angle = torch.where(green == 0, from_green, from_blue)
    angle = torch.where(red == 0, blue - green, angle)
    turn = angle.double() / (6.0 * one) + 1.0
    hue = ((turn - turn.floor()).float().double() * 255.0).int()
    saturation = ((spread / highest.clamp(min=1).float()).double() * 255.0).int()
    return hue, saturation, highest


def _to_rgb(
    hue: Int[Tensor, "n h w"], saturation: Int[Tensor, "n h w"], value: Int[Tensor, "n h w"]
) -> UInt8[Tensor, "n 3 h w"]:
    """`Image.convert("RGB")` of HSV."""
    full = hue.new_full((), 255.0, dtype=torch.float64)
    place = hue.double() * 6.0 / full
    sextant = place.floor()
    rest = (place - sextant).float()
    share = (saturation.double() / full).float()
    level = value.double()

    def lowered(by: Tensor) -> Tensor:
        return (level * (1.0 - by.double()) + 0.5).floor().int()

    low, falling = lowered(share), lowered(share * rest)
    rising = lowered(share.double() * (1.0 - rest.double()))
    part = sextant.int() % 6

    def channel(first: int) -> Tensor:
        """The colour that is highest in the sextant `first` and the one before."""
        where = (part - first) % 6
        edges = torch.where(where == 1, falling, torch.where(where == 4, rising, low))
        return torch.where((where == 0) | (where == 5), value, edges)

    return torch.stack([channel(0), channel(2), channel(4)], dim=1).to(torch.uint8)
