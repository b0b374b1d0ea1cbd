"""What may be asked of `Augment`."""

import difflib
from collections.abc import Sequence

from longtail.types import InputError

OPERATIONS = ("crop", "resized_crop", "flip", "autoaugment", "randaugment", "cutout")


def check_operations(operations: Sequence[str], where: str = "augmentation") -> None:
    """Refuse names that do not exist or exclude each other.

    Args:
        operations: names out of OPERATIONS.
        where: what to call the list they stand in.

    Raises:
        InputError: see above.
    """
    for name in operations:
        if name not in OPERATIONS:
            near = difflib.get_close_matches(name, OPERATIONS, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{where}: unknown operation {name!r}; did you mean {near!r}? Valid are {', '.join(OPERATIONS)}"
            )
    for one, other in (("autoaugment", "randaugment"), ("crop", "resized_crop")):
        if {one, other} <= set(operations):
            raise InputError(f"{where}: {one!r} and {other!r} are both given; keep one of them")


def check_channels(mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != 3 or len(std) != 3:
        raise InputError(
            f"mean {tuple(mean)} and std {tuple(std)} need three numbers each, one for each channel"
        )
    if min(std) <= 0:
        raise InputError(f"std {tuple(std)} has a number that is not positive; give positive deviations")


def check_scale(scale: tuple[float, float]) -> None:
    if not 0 < scale[0] <= scale[1] <= 1:
        raise InputError(
            f"crop_scale is {scale[0]}, {scale[1]}; give a smallest and a largest share of the area, in (0, 1]"
        )


def check_number(name: str, value: int, lowest: int, highest: int | None = None) -> None:
    if value < lowest or (highest is not None and value > highest):
        valid = f"at least {lowest}" if highest is None else f"{lowest} to {highest}"
        raise InputError(f"{name} is {value}; valid is {valid}")
