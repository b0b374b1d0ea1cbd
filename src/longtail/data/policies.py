"""Named augmentation policies: `[data.views.NAME]` of a recipe, and those that come with the package."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

from longtail.errors import InputError
from longtail.records import short

MOST_PIXELS = 4096  # of a side
TRAIN = "train"  # the recipe's own data.augment
Share = Annotated[float, Field(gt=0, le=1)]
Operation = Literal[
    "crop", "resized_crop", "flip", "rotation", "autoaugment", "autoaugment_port", "randaugment", "color_jitter",
    "grayscale", "blur", "cutout",
]  # fmt: skip
Operations = Annotated[tuple[Operation, ...], Strict(False), Field(max_length=len(get_args(Operation)))]
Padding = Annotated[int, Field(ge=0, le=MOST_PIXELS)]
CropFill = Literal["zeros", "reflect"]


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        said = "{first} is above {second}; give the smaller number first"
        raise PydanticCustomError("descending", said, {"first": pair[0], "second": pair[1]})
    return pair


Scale = Annotated[tuple[Share, Share], Strict(False), AfterValidator(_ascending)]
Degrees = Annotated[float, Field(gt=0, le=180)]
SquareSize = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
NumOperations = Annotated[int, Field(ge=1, le=16)]
Magnitude = Annotated[int, Field(ge=0, le=30)]
Reach = Annotated[float, Field(ge=0, le=10)]
HueReach = Annotated[float, Field(ge=0, le=0.5)]
Strengths = Annotated[tuple[Reach, Reach, Reach, HueReach], Strict(False)]
Probability = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(gt=0, le=100)]
Sigmas = Annotated[tuple[Deviation, Deviation], Strict(False), AfterValidator(_ascending)]


class ViewOptions(BaseModel):
    """A named policy: what a view of a training image goes through, where a method asks for views by name.

    Attributes:
        augment: its operations; None takes those of the shipped policy of this name.

    The other keys are those of [data], for this view alone; None takes the shipped policy's, else [data]'s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    augment: Operations | None = None
    crop_padding: Padding | None = None
    crop_fill: CropFill | None = None
    crop_scale: Scale | None = None
    rotation_degrees: Degrees | None = None
    randaugment_ops: NumOperations | None = None
    randaugment_magnitude: Magnitude | None = None
    jitter_strength: Strengths | None = None
    jitter_probability: Probability | None = None
    grayscale_probability: Probability | None = None
    blur_sigma: Sigmas | None = None
    blur_probability: Probability | None = None
    cutout_size: SquareSize | None = None


_SIMCLR: tuple[Operation, ...] = ("resized_crop", "flip", "color_jitter", "grayscale")
SHIPPED: Mapping[str, ViewOptions] = {
    "weak": ViewOptions(augment=("crop", "flip")),
    "strong": ViewOptions(augment=("crop", "flip", "autoaugment", "cutout")),
    "simclr": ViewOptions(augment=_SIMCLR, crop_scale=(0.2, 1.0)),
    "simclr_blur": ViewOptions(augment=(*_SIMCLR, "blur"), crop_scale=(0.2, 1.0)),
}
"""The policies that need no table in the recipe."""


def check_names(views: Mapping[str, ViewOptions]) -> None:
    """Refuse policies of one's own that say too little or take a name that has its meaning.

    Raises:
        InputError: see above.
    """
    if TRAIN in views:
        raise InputError(
            f"data.views.{TRAIN} is the recipe's own data.augment; set that, or take another name"
        )
    for name, own in views.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,50}", name):
            raise InputError(
                f"data.views has {short(name)}; give names of at most 50 letters, digits, hyphens and underscores"
            )
        if name not in SHIPPED and own.augment is None:
            raise InputError(
                f"data.views.{name} has no augment; give its operations, such as augment = ['crop', 'flip'], or take "
                f"the name of a shipped policy ({', '.join(SHIPPED)})"
            )


def settings(name: str, views: Mapping[str, ViewOptions]) -> dict[str, Any]:
    """What a policy sets of [data].

    Args:
        name: of the policy; `train` sets nothing.
        views: the recipe's own.

    Raises:
        InputError: there is no such policy.
    """
    known = [one for one in (SHIPPED.get(name), views.get(name)) if one is not None]
    if name != TRAIN and not known:
        raise InputError(
            f"no augmentation policy is called {name!r}; there are {', '.join({TRAIN: 0, **SHIPPED, **views})}; "
            f"give its operations as data.views.{name}.augment"
        )
    return {key: value for one in known for key, value in one if value is not None}
