"""Colour operations on uint8 batches, each bit for bit what Pillow computes."""

import torch
from jaxtyping import Float, Float32, Num, UInt8
from torch import Tensor


def _ramp(image: Tensor) -> Tensor:
    """0, 1, ..., 255 as int64 on the image's device."""
    return torch.arange(256, device=image.device)


def blend(
    low: Num[Tensor, "*#shape"], high: Num[Tensor, "*#shape"], factor: Float[Tensor, "*#shape"]
) -> UInt8[Tensor, "*_"]:
    """`Image.blend`: low + factor (high - low) in float32, clipped to [0, 255], fraction dropped.

    Args:
        low: whole numbers in [0, 255], of any type.
        high: likewise.
        factor: 0 gives `low`, 1 gives `high`, other values interpolate or extrapolate; float32.
    """
    low = low.float()
    return (low + factor * (high.float() - low)).clamp_(0, 255).to(torch.uint8)


def look_up(image: UInt8[Tensor, "n 3 h w"], table: UInt8[Tensor, "n c 256"]) -> UInt8[Tensor, "n 3 h w"]:
    """`Image.point`: replace each value by its entry in the image's (c = 1) or channel's table (c = 3)."""
    pixel = image.flatten(2).long()
    return table.expand(-1, 3, -1).gather(2, pixel).view(image.shape)


def grey(image: UInt8[Tensor, "n 3 h w"]) -> Num[Tensor, "n 1 h w"]:
    """`Image.convert("L")`: (19595 R + 38470 G + 7471 B + 32768) >> 16, as int32."""
    red, green, blue = image.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16)[:, None]


def color(image: UInt8[Tensor, "n 3 h w"], factor: Float32[Tensor, " n"]) -> UInt8[Tensor, "n 3 h w"]:
    """`ImageEnhance.Color`: blend between the grey image (factor 0) and the image (factor 1)."""
    return blend(grey(image), image, factor[:, None, None, None])


def contrast(image: UInt8[Tensor, "n 3 h w"], factor: Float32[Tensor, " n"]) -> UInt8[Tensor, "n 3 h w"]:
    """`ImageEnhance.Contrast`: blend between the rounded mean grey (factor 0) and the image (factor 1)."""
    num_pixels = image.shape[-1] * image.shape[-2]
    total = grey(image).sum((1, 2, 3))
    mean = torch.div(2 * total + num_pixels, 2 * num_pixels, rounding_mode="floor")
    return look_up(image, blend(mean[:, None, None], _ramp(image), factor[:, None, None]))


def sharpness(image: UInt8[Tensor, "n 3 h w"], factor: Float32[Tensor, " n"]) -> UInt8[Tensor, "n 3 h w"]:
    """`ImageEnhance.Sharpness`: blend between the smoothed image (factor 0) and the image (factor 1).

    Smoothing is Pillow's SMOOTH, the 3x3 kernel (1 1 1; 1 5 1; 1 1 1) / 13, rounded; the border stays
    as it is. The sum over 13 is never half-way between two whole numbers, so float32 rounds it exactly.
    """
    wide = image.short()
    rows = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    centre = wide[..., 1:-1, 1:-1]
    smooth = (box + 4 * centre).float().div_(13).add_(0.5).floor_()
    result = image.clone()
    result[..., 1:-1, 1:-1] = blend(smooth, centre, factor[:, None, None, None])
    return result


def autocontrast(image: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """`ImageOps.autocontrast`: stretch each channel to [0, 255]; flat ones stay. In float64, as Pillow."""
    darkest, lightest = image.amin((2, 3)).double(), image.amax((2, 3)).double()
    full = torch.full_like(darkest, 255.0)  # a tensor: number / tensor would multiply by a reciprocal
    scale = (full / (lightest - darkest).clamp(min=1.0))[..., None]
    stretched = (_ramp(image) * scale + -darkest[..., None] * scale).clamp_(0, 255).to(torch.uint8)
    flat = (lightest <= darkest)[..., None]
    return look_up(image, torch.where(flat, _ramp(image).to(torch.uint8), stretched))


def equalize(image: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """`ImageOps.equalize`: flatten each channel's histogram; channels with too few values stay."""
    pixel = image.flatten(2).long()
    one = torch.ones((), dtype=torch.int32, device=image.device)
    histogram = one.new_zeros(*pixel.shape[:2], 256).scatter_add_(2, pixel, one.expand_as(pixel))
    of_lightest = histogram.gather(2, pixel.amax(2, keepdim=True))
    step = torch.div(pixel.shape[2] - of_lightest, 255, rounding_mode="floor")
    darker = histogram.cumsum(2) - histogram + torch.div(step, 2, rounding_mode="floor")
    equal = torch.div(darker, step.clamp(min=1), rounding_mode="floor").clamp_(max=255)
    return look_up(image, torch.where(step == 0, _ramp(image), equal).to(torch.uint8))


def posterize_table(bits: int) -> UInt8[Tensor, "256"]:
    """`ImageOps.posterize`: keep the `bits` highest bits, 1 to 8."""
    return (torch.arange(256) & ~((1 << (8 - bits)) - 1)).to(torch.uint8)


def solarize_table(threshold: float) -> UInt8[Tensor, "256"]:
    """`ImageOps.solarize`: invert values at or above `threshold`; 0 inverts all, as `ImageOps.invert`."""
    ramp = torch.arange(256)
    return torch.where(ramp < threshold, ramp, 255 - ramp).to(torch.uint8)


def brightness_table(factor: float) -> UInt8[Tensor, "256"]:
    """`ImageEnhance.Brightness`: blend between black (factor 0) and the image (factor 1)."""
    return blend(torch.zeros(256), torch.arange(256), torch.tensor([factor], dtype=torch.float32))
