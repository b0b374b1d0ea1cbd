"""The random resized crop: where each image's box lies, and boxes resized as two products of matrices."""

import math
from functools import cache

import torch
from jaxtyping import Float64, Int, Int64, UInt8
from torch import Tensor

from longtail.augment.random import TWO_32, below, draw_bits
from longtail.types import Fit

TRIES = 10
_FIRST_SLOT = 1 << 16  # far beyond the slots of the other operations
_PLACE_Y, _PLACE_X = 2 * TRIES, 2 * TRIES + 1
_NUM_RATIOS = 4096
_FIXED_POINT = 1 << 22  # Pillow's precision of weights


def draw_boxes(
    index: Int[Tensor, " b"],
    sizes: Int[Tensor, "b 2"],
    scale: tuple[float, float],
    keys: Int64[Tensor, "2"],
    fit: Fit = "crop",
) -> Int[Tensor, "b 4"]:
    """One box for each image, by the rule of torchvision's `RandomResizedCrop`.

    Ten tries draw a share of the image's area, evenly in `scale`, and a ratio width / height, evenly in its logarithm
    from 3/4 to 4/3 (here in 4,096 steps). The first box that fits into the image is put at a place where it fits,
    all equally likely. Where none fits it is the largest centred box with a ratio in that range.

    Boxes show things as the whole image shows them, so that their proportions and sizes are those of evaluation. With
    `squash` the rule holds in the image squashed to a square: a box has the image's own ratio, times one from 3/4 to
    4/3. With `pad` it holds in the square of the longer side; where a box is longer than the image, all of the image
    lies inside, at a place drawn evenly, and it reaches beyond the image (negative top or left, for one).

    Args:
        index: (B,) position of each image in its split; with the keys it decides everything.
        sizes: (B, 2) height and width of each image in pixels, on the device of `index`.
        scale: smallest and largest share of the area, in (0, 1].
        keys: (2,) the two words of `draw_keys` on the index's device.
        fit: how the whole image becomes a square; of square images it changes nothing.

    Returns:
        (B, 4) int64: top, left, height, width in pixels. Basic arithmetic alone: equal on every device.

    >>> draw_boxes(torch.tensor([7]), torch.tensor([[30, 40]]), (1.0, 1.0), torch.tensor([1, 2])).shape
    torch.Size([1, 4])
    """
    bits = draw_bits(index, _PLACE_X + 1, keys, first_slot=_FIRST_SLOT)
    height, width = sizes.long().unbind(1)
    own_height, own_width = height, width
    if fit != "crop":
        height = width = torch.maximum(height, width)
    share = scale[0] + (scale[1] - scale[0]) * (bits[:, :TRIES].double() * (1 / TWO_32))
    side = ((height * width)[:, None] * share).sqrt()
    root = _root_ratios(bits.device)[below(bits[:, TRIES : 2 * TRIES], _NUM_RATIOS)]
    heights, widths = (side / root).round().long(), (side * root).round().long()
    fits = (heights > 0) & (heights <= height[:, None]) & (widths > 0) & (widths <= width[:, None])
    first, some = fits.long().argmax(1, keepdim=True), fits.any(1)
    highest, widest = (torch.minimum(a, (4 * b + 1) // 3) for a, b in ((height, width), (width, height)))
    box_height = torch.where(some, heights.gather(1, first)[:, 0], highest)
    box_width = torch.where(some, widths.gather(1, first)[:, 0], widest)
    if fit == "pad":
        top = _anywhere(bits[:, _PLACE_Y], own_height - box_height)
        left = _anywhere(bits[:, _PLACE_X], own_width - box_width)
        return torch.stack([top, left, box_height, box_width], dim=1)
    free_y, free_x = height - box_height, width - box_width
    top = torch.where(some, below(bits[:, _PLACE_Y], free_y + 1), free_y // 2)
    left = torch.where(some, below(bits[:, _PLACE_X], free_x + 1), free_x // 2)
    if fit == "squash":
        top, box_height = _squashed(top, box_height, height, own_height)
        left, box_width = _squashed(left, box_width, width, own_width)
    return torch.stack([top, left, box_height, box_width], dim=1)


def _anywhere(bits: Int64[Tensor, " b"], free: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
    """A place for a box that is shorter than the image by `free`, or longer by -free."""
    return below(bits, free.abs() + 1) * free.sign()


def _squashed(
    start: Int64[Tensor, " b"],
    length: Int64[Tensor, " b"],
    side: Int64[Tensor, " b"],
    own: Int64[Tensor, " b"],
) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"]]:
    """Start and length of a box in an image of `own` pixels instead of `side`, at least one pixel long."""
    first = start * own // side
    return first, ((start + length) * own // side - first).clamp_min(1)


def crop_resize(
    image: UInt8[Tensor, "b 3 h w"], box: Int[Tensor, "b 4"], size: int
) -> UInt8[Tensor, "b 3 s s"]:
    """Cut a box out of each image and resize it to size x size, as Pillow's `crop` and `resize(BILINEAR)` do.

    A triangle of one output pixel (one input pixel where the box grows) on either side weighs the box's columns, then,
    after rounding to whole grey levels, its rows. Pillow sometimes begins with the rows; the result is then within one
    grey level of its own, otherwise equal. Weights have Pillow's 22 binary digits; in float64 their
    sums are exact, so the order of summation, and with it the device, is of no account.

    Args:
        image: (B, 3, H, W).
        box: (B, 4) top, left, height, width, inside the image.
        size: side of the result in pixels.
    """
    top, left, height, width = box.unbind(1)
    across = _weights(left, width, image.shape[-1], size).transpose(1, 2)[:, None]
    down = _weights(top, height, image.shape[-2], size)[:, None]
    return _grey_levels(down @ _grey_levels(image.double() @ across)).to(torch.uint8)


@cache
def _root_ratios(device: torch.device) -> Float64[Tensor, " k"]:
    """Square roots of the ratios as a table made on the host: exp differs between devices, these numbers do not."""
    steps = (torch.arange(_NUM_RATIOS, dtype=torch.float64) + 0.5) / _NUM_RATIOS
    return (steps - 0.5).mul(math.log(4 / 3)).exp().to(device)


def _weights(
    start: Int[Tensor, " b"], length: Int[Tensor, " b"], num_inputs: int, num_outputs: int
) -> Float64[Tensor, "b o i"]:
    """What each input counts for in each output, whole numbers with the sum 2^22 (nearly, as in Pillow)."""
    one = torch.ones((), dtype=torch.float64, device=start.device)  # a tensor, see `normalization.normalized`
    scale = length.double()[:, None] / (one * num_outputs)
    reach = scale.clamp(min=1.0)
    centre = (torch.arange(num_outputs, device=start.device) + 0.5) * scale
    low = (centre - reach + 0.5).floor()
    high = torch.minimum((centre + reach + 0.5).floor(), length[:, None])
    position = (torch.arange(num_inputs, device=start.device) - start[:, None])[:, None]
    inside = (position >= low[..., None].clamp(min=0)) & (position < high[..., None])
    distance = ((position - centre[..., None]) + 0.5) * (one / reach)[..., None]
    weight = (1.0 - distance.abs()).clamp_(min=0.0).mul_(inside)
    return (weight / weight.sum(-1, keepdim=True) * _FIXED_POINT + 0.5).floor_()


def _grey_levels(total: Float64[Tensor, "b 3 h w"]) -> Float64[Tensor, "b 3 h w"]:
    return ((total + _FIXED_POINT // 2) * (1 / _FIXED_POINT)).floor_().clamp_(0, 255)
