"""The recipe's [data] section."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from longtail.choices import Bits, Fit
from longtail.data.policies import (
    MOST_PIXELS,
    CropFill,
    Degrees,
    Magnitude,
    NumOperations,
    Operations,
    Padding,
    Probability,
    Scale,
    Share,
    Sigmas,
    SquareSize,
    Strengths,
    ViewOptions,
    check_names,
    settings,
)
from longtail.errors import InputError
from longtail.runs.groups import FEW_BELOW, MANY_ABOVE
from longtail.source_names import named_sources, own_sources

MOST_IMAGES = 10**9  # of a class
Triple = tuple[float, float, float]
Mean = Annotated[float, Field(ge=0, le=1)]
Means = tuple[Mean, Mean, Mean]
Deviations = tuple[Share, Share, Share]


def _known(name: str) -> str:
    names = (*named_sources(), *own_sources())
    if name not in names:
        said = ", ".join(repr(one) for one in names[:-1])
        raise PydanticCustomError(
            "source", "input should be {said} or {last}", {"said": said, "last": repr(names[-1])}
        )
    return name


SourceName = Annotated[str, AfterValidator(_known)]  # a file of longtail.data.sources
TwoLabels = Literal["refuse", "leave_out"]


class DataOptions(BaseModel):
    """Which images, how long their tail is, and how they are shown to the network.

    Attributes:
        name: the source, see `longtail.data.sources`.
        path: file or folder of the data (`--data`); `digits` needs none, CIFAR is downloaded without one.
        root: folder that the paths of a table, list or annotations start from. Default: the one it lies in.
        imbalance_factor: largest class / smallest class, >= 1; None keeps the counts as they are.
        profile: how the class sizes fall in between, see `long_tailed_counts`.
        max_count: size of the largest class. Default with an imbalance factor: the largest class there is
            (`digits`: 120). Without an imbalance factor it caps every class.
        subset: which images of a class are kept: `first` in file order, `shuffle0` (as LDAM and RIDE draw
            them), `seeded` (an order drawn from `subset_seed`).
        subset_seed: seed of `seeded`.
        validation: fraction of each class of the training split held out, in [0, 1).
        image_size: side in pixels. Default: the set's own (8 for digits, else 32).
        fit: how an image that is not square becomes so: `crop` shows its largest centred square, `pad` the whole image
            between borders of the mean colour, `squash` the whole image with both sides brought to one length.
        bits: how many bits the values of images of 16 bits use: of 12, 4095 is white. Default: as many as the
            training images need, which is said; the run keeps it for all images that its model sees.
        many_above: a class with more training images belongs to "many"; no less than `few_below`.
        few_below: a class with fewer training images belongs to "few".
        augment: operations on training images; they are applied in the fixed order of `Augment`.
        crop_padding: pixels of padding before the random crop.
        crop_fill: what the padding shows, `zeros` (black) or `reflect` (the image mirrored at its border).
        crop_scale: smallest and largest share of an image's area that `resized_crop` shows, in (0, 1].
        draft: let JPEG decoders shrink large photographs by 2, 4 or 8 before `resized_crop`, the box never below
            `image_size`; faster, and grey levels change (`benchmarks/loader.py` says by how much).
        rotation_degrees: largest angle of `rotation` either way.
        randaugment_ops: RandAugment's operations for each image, 1 to 16.
        randaugment_magnitude: RandAugment's strength, 0..30.
        jitter_strength: reach of `color_jitter`: factors of brightness, contrast and saturation around 1, and hue as a
            share of the circle.
        jitter_probability: of `color_jitter`.
        grayscale_probability: of `grayscale`.
        blur_sigma: smallest and largest deviation of `blur`, in pixels.
        blur_probability: of `blur`.
        cutout_size: side of the square that Cutout blanks.
        views: named policies for methods that ask for views by name, see `longtail.data.policies`.
        mean: per channel, of images in [0, 1]; in [0, 1]. Default: the set's own.
        std: per channel, in (0, 1]. Default: the set's own.
        workers: threads that decode images that stay on disk.
        group_by: which images are held out together, see `longtail.data.grouping.group_names`. Default: as the set
            itself says, by a table's column `group`; `none`: each by itself.
        group_copies: what else is held out together, of images of your own: `true`, images with the same bytes, those
            that look alike, and bursts (see `longtail.data.related`); `"identical"`, those with the same bytes alone;
            `false`, none.
        two_labels: images that a table, list or annotations give two labels or more: `refuse` the set, or `leave_out`
            these images, which is said.
        strict: refuse whatever would otherwise be noted (`Notes`).
    """

    # Strict: true is no number, 2.5 no count. Tuples are lax because TOML has lists; their items stay strict.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: SourceName
    path: str | None = None
    root: str | None = None
    imbalance_factor: float | None = Field(default=None, ge=1, le=1e9)
    profile: Literal["exponential", "pareto", "step"] = "exponential"
    max_count: int | None = Field(default=None, ge=1, le=MOST_IMAGES)
    subset: Literal["first", "shuffle0", "seeded"] = "first"
    subset_seed: int = Field(default=0, ge=0, lt=2**31)
    validation: float = Field(default=0.0, ge=0.0, lt=1.0)
    image_size: int | None = Field(default=None, ge=1, le=MOST_PIXELS)
    fit: Fit = "crop"
    bits: Bits | None = None
    many_above: int = Field(default=MANY_ABOVE, ge=0, le=MOST_IMAGES)
    few_below: int = Field(default=FEW_BELOW, ge=0, le=MOST_IMAGES)
    augment: Operations = ()
    crop_padding: Padding = 4
    crop_fill: CropFill = "zeros"
    crop_scale: Scale = (0.08, 1.0)
    draft: bool = False
    rotation_degrees: Degrees = 15.0
    randaugment_ops: NumOperations = 2
    randaugment_magnitude: Magnitude = 10
    jitter_strength: Strengths = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: Probability = 0.8
    grayscale_probability: Probability = 0.2
    blur_sigma: Sigmas = (0.1, 2.0)
    blur_probability: Probability = 0.5
    cutout_size: SquareSize = 16
    views: dict[str, ViewOptions] = Field(default={}, max_length=100, exclude_if=lambda views: not views)
    mean: Annotated[Means, Strict(False)] | None = None
    std: Annotated[Deviations, Strict(False)] | None = None
    workers: int = Field(default=2, ge=0, le=1024)
    group_by: str | None = Field(default=None, max_length=1000)
    group_copies: bool | Literal["identical"] = True
    two_labels: TwoLabels = "refuse"
    strict: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> "DataOptions":
        if self.few_below > self.many_above:
            raise InputError(
                f"data.few_below = {self.few_below} is above data.many_above = {self.many_above}, so a class could be "
                "few and many at once; lower the one or raise the other"
            )
        check_names(self.views)
        return self

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # a table of views has no hash itself

    def as_view(self, name: str) -> "DataOptions":
        """The options as the policy `name` has them; `train` is the options themselves.

        Raises:
            InputError: there is no such policy.
        """
        return self.model_copy(update=settings(name, self.views))

    @property
    def is_own(self) -> bool:
        """Whether the images are the user's own; a published set is left as it was published."""
        return self.name in own_sources()
