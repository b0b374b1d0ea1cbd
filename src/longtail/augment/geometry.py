"""Geometry as one gather: nearest-neighbour affine maps in 16.16 fixed point, bit for bit those of Pillow."""

import math

import torch
from jaxtyping import Int, Int32, UInt8
from torch import Tensor

Coefficients = tuple[int, int, int, int, int, int]

ONE = 1 << 16
HALF = ONE // 2
IDENTITY: Coefficients = (ONE, 0, HALF, 0, ONE, HALF)


def fixed_point(a: float, b: float, c: float, d: float, e: float, f: float) -> Coefficients:
    """Pillow's fixed-point form of the map (x, y) -> (a x + b y + c, d x + e y + f) from output to input.

    Pixel centres sit at +0.5. With b = d = 0 Pillow takes another route: floor of the start, then whole steps
    for |a| = |e| = 1, a shift or mirror image. Other scales are not needed here.

    Args:
        a: change of the input's x with the output's x. The six are those of Pillow's `Image.transform` with
            `Transform.AFFINE`; all coordinates must stay below 32,768.
        b: change of x with y.
        c: x of the output's origin, in pixels.
        d: change of y with x.
        e: change of y with y.
        f: y of the output's origin, in pixels.

    Returns:
        Six integers, 65,536 = 1, for `affine`.
    """
    if b == 0 and d == 0:
        return (
            round(a) * ONE,
            0,
            math.floor(c + a * 0.5) * ONE,
            0,
            round(e) * ONE,
            math.floor(f + e * 0.5) * ONE,
        )
    start_x, start_y = c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5
    fixed = [math.floor(value * ONE + 0.5) for value in (a, b, start_x, d, e, start_y)]
    return (fixed[0], fixed[1], fixed[2], fixed[3], fixed[4], fixed[5])


def rotation(degrees: float, height: int, width: int) -> Coefficients:
    """`Image.rotate(degrees, fillcolor=...)`: counter-clockwise around the centre.

    The matrix is rounded to 15 digits, as Pillow does.

    Args:
        degrees: any angle; multiples of 90 are exact, as in Pillow.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    angle = -math.radians(degrees % 360.0)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return fixed_point(cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y)


def affine(
    image: UInt8[Tensor, "n 3 h w"], coefficients: Int32[Tensor, "n 6"], fill: UInt8[Tensor, " n"] | int
) -> UInt8[Tensor, "n 3 h w"]:
    """Map each image by its own affine map, nearest neighbour; what falls outside becomes `fill`.

    Args:
        image: (n, 3, H, W) uint8.
        coefficients: (n, 6) from `fixed_point` or `rotation`.
        fill: grey value in [0, 255], for all or for each.
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=torch.int32)
    y = torch.arange(height, device=image.device, dtype=torch.int32)[:, None]
    a, b, c, d, e, f = coefficients[:, :, None, None].unbind(1)
    source_x = (a * x + (b * y + c)) >> 16
    source_y = (d * x + (e * y + f)) >> 16
    near_x, near_y = source_x.clamp(0, width - 1), source_y.clamp(0, height - 1)
    position = (near_y * width + near_x).long().flatten(1)[:, None].expand(-1, 3, -1)
    inside = ((near_x == source_x) & (near_y == source_y)).to(torch.uint8)[:, None]
    moved = image.flatten(2).gather(2, position).view(image.shape)
    return moved * inside + (1 - inside) * (fill if isinstance(fill, int) else fill[:, None, None, None])


def crop_flip(
    top: Int[Tensor, " n"], left: Int[Tensor, " n"], flip: Int[Tensor, " n"], width: int
) -> Int32[Tensor, "n 6"]:
    """Coefficients of a shifted window, mirrored left to right where `flip` is 1.

    Args:
        top: (n,) whole pixels by which the window lies below the image's own place; may be negative.
        left: (n,) whole pixels by which it lies to the right.
        flip: (n,) 0 or 1.
        width: W of the image.
    """
    zero = torch.zeros_like(top)
    start = left + flip * (width - 1)
    columns = ((1 - 2 * flip) * ONE, zero, start * ONE + HALF, zero, zero + ONE, top * ONE + HALF)
    return torch.stack(columns, dim=1).int()


def reflected(position: Int[Tensor, "*shape"], size: int) -> Int[Tensor, "*shape"]:
    """Positions beyond a side's ends, mirrored at the outermost pixels, which are not repeated (NumPy's "reflect").

    >>> reflected(torch.arange(-3, 6), 3).tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    period = max(2 * (size - 1), 1)
    position = position.remainder(period)
    return torch.minimum(position, period - position)


def reflected_window(
    image: UInt8[Tensor, "n 3 h w"], top: Int[Tensor, " n"], left: Int[Tensor, " n"], flip: Int[Tensor, " n"]
) -> UInt8[Tensor, "n 3 h w"]:
    """The window of `crop_flip`, with the image reflected where the window lies beyond it.

    Args:
        image: (n, 3, H, W) uint8.
        top: see `crop_flip`, as are left and flip.
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device)
    across = x + (flip[:, None] * (width - 1 - 2 * x) + left[:, None])
    down = torch.arange(height, device=image.device) + top[:, None]
    position = reflected(down, height)[:, :, None] * width + reflected(across, width)[:, None]
    return image.flatten(2).gather(2, position.flatten(1)[:, None].expand(-1, 3, -1)).view(image.shape)
