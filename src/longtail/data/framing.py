"""How a picture of any shape becomes the square that a network takes: cropped, padded or squashed."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from longtail.types import Fit

Box = tuple[int, int, int, int]
Color = tuple[int, int, int]


class Framing(NamedTuple):
    """How a picture becomes a square.

    Attributes:
        fit: `crop` shows the largest centred square, `pad` the whole picture between filled borders, `squash` the
            whole picture with both sides brought to the same length.
        fill: RGB, 0 to 255, of the borders of `pad`.
    """

    fit: Fit = "crop"
    fill: Color = (0, 0, 0)


CROP = Framing()


def framing_of(fit: Fit, mean: Sequence[float]) -> Framing:
    """The framing of a network whose images are normalised with `mean`.

    The borders of `pad` have the mean colour, which normalisation takes to zero: what convolutions pad with too.

    Args:
        fit: see `Framing`.
        mean: of the three channels, in [0, 1].

    >>> framing_of("pad", (0.485, 0.456, 0.406)).fill
    (124, 116, 104)
    """
    red, green, blue = (round(255 * value) for value in mean)
    return Framing(fit, (red, green, blue))


def framed(picture: Image.Image, size: int, framing: Framing = CROP) -> Image.Image:
    """A picture as a square of `size` pixels a side, by Pillow's bilinear filter, which averages when it shrinks.

    A picture that is already size x size keeps its exact pixels.

    Args:
        picture: RGB, upright.
        size: in pixels, >= 1.
        framing: how.
    """
    if picture.size == (size, size):
        return picture
    if framing.fit == "pad":
        return _padded(picture, size, framing.fill)
    width, height = picture.size
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if framing.fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        right, bottom = left + side, top + side
    return picture.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, right, bottom))


def _padded(picture: Image.Image, size: int, fill: Color) -> Image.Image:
    """What Pillow's `ImageOps.pad` gives, which fails where a side would have no pixel."""
    longest = max(picture.size)
    width, height = (max(1, round(length / longest * size)) for length in picture.size)
    square = Image.new("RGB", (size, size), fill)
    place = (round((size - width) * 0.5), round((size - height) * 0.5))
    square.paste(picture.resize((width, height), Image.Resampling.BILINEAR), place)
    return square


def box_on_borders(
    box: Box,
    height: int,
    width: int,
    size: int,
    fill: Color,
    read: Callable[[Box, tuple[int, int]], UInt8[Tensor, "3 h w"]],
) -> UInt8[Tensor, "3 s s"]:
    """A box of a picture that may reach beyond it, resized to size x size; beyond the picture it is filled.

    Args:
        box: top, left, height and width in pixels of the picture; some of it lies inside.
        height: of the picture.
        width: of the picture.
        size: side of the result.
        fill: RGB of what lies beyond.
        read: gives a box inside the picture, resized to a height and width.
    """
    top, left, tall, wide = box
    first, last = max(top, 0), min(top + tall, height)
    start, end = max(left, 0), min(left + wide, width)
    rows, columns = _span(first - top, last - top, tall, size), _span(start - left, end - left, wide, size)
    inside = read((first, start, last - first, end - start), (len(rows), len(columns)))
    if inside.shape[1:] == (size, size):
        return inside
    square = torch.tensor(fill, dtype=torch.uint8)[:, None, None].repeat(1, size, size)
    square[:, rows.start : rows.stop, columns.start : columns.stop] = inside
    return square


def _span(start: int, stop: int, length: int, size: int) -> range:
    """Where a stretch of a box lies once the box is resized, at least one pixel long."""
    first = min(round(start * size / length), size - 1)
    return range(first, max(first + 1, round(stop * size / length)))
