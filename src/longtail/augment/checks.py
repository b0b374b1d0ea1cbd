"""What may be asked of `Augment`."""

import difflib
from collections.abc import Sequence

from longtail.types import InputError

OPERATIONS = (
    "crop", "resized_crop", "flip", "rotation", "autoaugment", "autoaugment_port", "randaugment", "color_jitter",
    "grayscale", "blur", "cutout",
)  # fmt: skip
LARGEST_SIGMA = 100


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
    for excluding in (("autoaugment", "autoaugment_port", "randaugment"), ("crop", "resized_crop")):
        both = [name for name in excluding if name in operations]
        if len(both) > 1:
            raise InputError(f"{where}: {both[0]!r} and {both[1]!r} are both given; keep one of them")


def check_channels(mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != 3 or len(std) != 3:
        raise InputError(
            f"mean {tuple(mean)} and std {tuple(std)} need three numbers each, one for each channel"
        )
    if min(std) <= 0:
        raise InputError(f"std {tuple(std)} has a number that is not positive; give positive deviations")


def check_range(name: str, pair: tuple[float, float], highest: int) -> None:
    if not 0 < pair[0] <= pair[1] <= highest:
        raise InputError(
            f"{name} is {pair[0]}, {pair[1]}; give a smallest and a largest number, above 0 and at most {highest}"
        )


def check_jitter(strength: Sequence[float]) -> None:
    if len(strength) != 4 or not min(strength) >= 0 or not strength[3] <= 0.5:
        raise InputError(
            f"jitter_strength is {tuple(strength)}; give four numbers from 0, of brightness, contrast, saturation and "
            "hue, the last at most 0.5"
        )


def check_choice(name: str, value: str, valid: Sequence[str]) -> None:
    if value not in valid:
        raise InputError(f"{name} is {value!r}; valid is {' or '.join(valid)}")


def check_number(
    name: str, value: int | float, lowest: int, highest: int | None = None, *, above: bool = False
) -> None:
    """Refuse a number below `lowest` (or equal to it, where it has to be `above`) or beyond `highest`."""
    if not value >= lowest or (above and value == lowest) or not (highest is None or value <= highest):
        low = f"above {lowest}" if above else f"{lowest}" if highest is not None else f"at least {lowest}"
        raise InputError(f"{name} is {value}; valid is {low}{'' if highest is None else f' to {highest}'}")
