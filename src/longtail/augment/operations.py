"""A different operation on each image of a batch: a table of all that can happen, and one gather by row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Float64, Int, Int32, UInt8
from torch import Tensor

from longtail.augment import color, geometry
from longtail.augment.bicubic import sheared
from longtail.augment.blur import blur, gaussian, kernel_size
from longtail.augment.hue import turn_hue
from longtail.augment.policies import Operation


@dataclass(frozen=True)
class OperationTable:
    """What each of V operations means for images of one size; row numbers stand for operations.

    Attributes:
        kinds: V numbers, which function of `_FAMILIES` does it.
        family: (V,) the same on the device.
        coefficients: (V, 6) affine maps of the geometric ones.
        lookup: (V, 1, 256) value tables of the point operations.
        factor: (V,) of contrast, color and sharpness; how far the hue turns.
        fill: (V,) grey value for what a geometric operation uncovers.
        weight: (V, K) of the pixels that a blur sums.
        shear: (V,) of the bicubic shears.
    """

    kinds: tuple[int, ...]
    family: Int[Tensor, " v"]
    coefficients: Int32[Tensor, "v 6"]
    lookup: UInt8[Tensor, "v 1 256"]
    factor: Float32[Tensor, " v"]
    fill: UInt8[Tensor, " v"]
    weight: Float64[Tensor, "v k"]
    shear: Float64[Tensor, " v"]

    def kinds_of(self, rows: Iterable[int]) -> tuple[int, ...]:
        """The families of some rows."""
        return tuple(sorted({self.kinds[row] for row in rows}))


_FAMILIES: dict[str, Callable[[Tensor, OperationTable, Tensor], Tensor]] = {
    "identity": lambda image, table, row: image,
    "geometry": lambda image, table, row: geometry.affine(image, table.coefficients[row], table.fill[row]),
    "lookup": lambda image, table, row: color.look_up(image, table.lookup[row]),
    "contrast": lambda image, table, row: color.contrast(image, table.factor[row]),
    "color": lambda image, table, row: color.color(image, table.factor[row]),
    "sharpness": lambda image, table, row: color.sharpness(image, table.factor[row]),
    "autocontrast": lambda image, table, row: color.autocontrast(image),
    "equalize": lambda image, table, row: color.equalize(image),
    "hue": lambda image, table, row: turn_hue(image, table.factor[row]),
    "blur": lambda image, table, row: blur(image, table.weight[row]),
    "shear_x_bicubic": lambda image, table, row: sheared(image, table.shear[row], table.fill[row]),
    "shear_y_bicubic": lambda image, table, row: sheared(image.mT, table.shear[row], table.fill[row]).mT,
}
FAMILY = {name: number for number, name in enumerate(_FAMILIES)}


def _coefficients(operation: Operation, height: int, width: int) -> geometry.Coefficients | None:
    """The affine map of a geometric operation, None for every other one."""
    value = operation.value
    match operation.name:
        case "shear_x":
            return geometry.fixed_point(1.0, value, 0.0, 0.0, 1.0, 0.0)
        case "shear_y":
            return geometry.fixed_point(1.0, 0.0, 0.0, value, 1.0, 0.0)
        case "translate_x":
            return geometry.fixed_point(1.0, 0.0, value * width, 0.0, 1.0, 0.0)
        case "translate_y":
            return geometry.fixed_point(1.0, 0.0, 0.0, 0.0, 1.0, value * height)
        case "rotate" | "rotation":
            return geometry.rotation(value, height, width)
    return None


def _lookup(operation: Operation) -> UInt8[Tensor, "256"] | None:
    """The value table of a point operation that needs nothing of the image, None for every other one."""
    match operation.name:
        case "posterize":
            return color.posterize_table(int(operation.value))
        case "solarize":
            return color.solarize_table(operation.value)
        case "invert":
            return color.solarize_table(0.0)
        case "brightness":
            return color.brightness_table(operation.value)
    return None


def build_table(
    operations: Sequence[Operation], height: int, width: int, *, fill: int, device: torch.device
) -> OperationTable:
    """Precompute on the host what the operations mean for H x W images, and put it on the device.

    Args:
        operations: V operations; row v of the table is operations[v].
        height: of the images, in pixels.
        width: of the images, in pixels.
        fill: grey value in [0, 255] of what they uncover; what `rotation` uncovers is black.
        device: of the images.
    """
    nothing, size = torch.arange(256, dtype=torch.uint8), kernel_size(height, width)
    family, coefficients, lookup = [], [], []
    for operation in operations:
        affine_map, values = _coefficients(operation, height, width), _lookup(operation)
        name = "geometry" if affine_map else "lookup" if values is not None else operation.name
        family.append(FAMILY[name])
        coefficients.append(affine_map or geometry.IDENTITY)
        lookup.append(nothing if values is None else values)
    fills = [0 if one.name == "rotation" else fill for one in operations]
    still = gaussian(1.0, size)
    weights = [gaussian(one.value, size) if one.name == "blur" else still for one in operations]
    return OperationTable(
        kinds=tuple(family),
        family=torch.tensor(family, device=device),
        coefficients=torch.tensor(coefficients, dtype=torch.int32, device=device),
        lookup=torch.stack(lookup)[:, None].to(device),
        factor=torch.tensor([one.value for one in operations], dtype=torch.float32, device=device),
        fill=torch.tensor(fills, dtype=torch.uint8, device=device),
        weight=torch.stack(weights).to(device),
        shear=torch.tensor([one.value for one in operations], dtype=torch.float64, device=device),
    )


def apply_operations(
    image: UInt8[Tensor, "b 3 h w"],
    row: Int[Tensor, " b"],
    table: OperationTable,
    *,
    dense: bool,
    kinds: Iterable[int] = tuple(FAMILY.values()),
) -> UInt8[Tensor, "b 3 h w"]:
    """Do to image b what row[b] of the table says.

    Args:
        image: (B, 3, H, W) uint8; left as it is.
        row: (B,) rows of the table.
        table: from `build_table`, for this H and W, on the same device.
        dense: compute every family for the whole batch and select, so that no size depends on values
            and the host never waits (for accelerators); otherwise each family sees its own images only (for
            CPUs). Both give the same bits.
        kinds: families that can occur, for the dense form; by default all.
    """
    family = table.family[row]
    if dense:
        functions = tuple(_FAMILIES.values())
        for number in kinds:
            chosen: Bool[Tensor, "b 1 1 1"] = (family == number)[:, None, None, None]
            image = torch.where(chosen, functions[number](image, table, row), image)
        return image
    order = family.argsort(stable=True)
    counts = torch.bincount(family, minlength=len(_FAMILIES)).tolist()
    images, rows = torch.split(image.index_select(0, order), counts), torch.split(row[order], counts)
    pieces = zip(_FAMILIES.values(), images, rows, strict=True)
    done = [function(piece, table, of_piece) for function, piece, of_piece in pieces if len(piece)]
    return torch.cat(done).index_select(0, order.argsort())
