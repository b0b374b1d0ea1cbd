"""What a stored classifier says of itself: one form for weights, exported files and exported folders."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from longtail.choices import Bits
from longtail.data.options import Mean
from longtail.data.policies import MOST_PIXELS, Share
from longtail.records import Record, unique
from longtail.types import Fit


def _once(names: list[str]) -> list[str]:
    unique(names, "class")
    return names


Positive = Annotated[float, Field(gt=0)]
Triple = Field(min_length=3, max_length=3)
Count = Annotated[int, Field(ge=0, lt=2**53)]
Classes = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2), AfterValidator(_once)]


class Description(Record):
    """A classifier.

    Attributes:
        classes: C names, as outputs are ordered.
        image_size: side of the images in pixels.
        fit: how an image that is not square becomes so; older ones do without, and crop.
        bits: how many bits the values of images of 16 bits use; older ones do without, and all count.
        mean, std: per channel, of images in [0, 1].
        temperature: what logits are divided by before the softmax, > 0.
        epoch: finished epochs of training.
    """

    classes: Classes
    image_size: Annotated[int, Field(ge=1, le=MOST_PIXELS)]
    fit: Fit = "crop"
    bits: Bits = 16
    mean: Annotated[list[Mean], Triple]
    std: Annotated[list[Share], Triple]
    temperature: Positive
    epoch: Count


class Network(Record):
    """The recipe's [model] section of a network that is stored; the rest is checked where the network is built."""

    name: str
    num_experts: Annotated[int, Field(ge=1, le=64)]


class WeightsDescription(Description):
    """What lies beside a run's weights.

    Attributes:
        model: the network.
        bank: the head bank that the weights hold.
        stage: the stage that they come from; older ones do without.
        temperature_from: the images that the temperature was fitted on.
    """

    model: Network
    bank: Annotated[str, Field(min_length=1)]
    stage: str | None = None
    temperature_from: str | None = None


class ExportedDescription(Description):
    """What an exported file or folder says of itself, see `longtail.export.describe`.

    Attributes:
        flips: whether training showed mirror images too; older ones do not say, and none are shown to them.
    """

    longtail_version: str
    method: str
    model: str
    epochs: Annotated[int, Field(ge=1, lt=2**53)]
    num_experts: Annotated[int, Field(ge=1, le=64)]
    flips: bool = False
    class_counts: list[Count]
    prior: list[Share]
    input: str
    outputs: str
    resize: str
    licence: str

    @model_validator(mode="after")
    def _fit_together(self) -> "ExportedDescription":
        for name, values in (("class_counts", self.class_counts), ("prior", self.prior)):
            if len(values) != len(self.classes):
                raise ValueError(f"{len(self.classes)} classes, but {len(values)} numbers in {name}")
        if abs(sum(self.prior) - 1) > 1e-3:
            raise ValueError(f"the numbers in prior add up to {sum(self.prior):.4g}, not to 1")
        if self.epoch > self.epochs:
            raise ValueError(f"it was trained for {self.epoch} of {self.epochs} epochs")
        return self


class FileDescription(ExportedDescription):
    """What an exported file says of itself."""

    recipe: str
