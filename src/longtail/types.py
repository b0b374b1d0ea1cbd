"""The values that travel between the layers: batch, model output, place in a run; and those that need no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from jaxtyping import Float, Int, Int64, Num
from torch import Tensor

from longtail.choices import Fit as Fit
from longtail.choices import Sampler as Sampler
from longtail.errors import InputError as InputError
from longtail.errors import LocalInputError as LocalInputError

NOTHING: Mapping[str, Tensor] = MappingProxyType({})
EFFECTIVE_BETA = 0.9999
"""Of the sampler "effective" (Cui et al. 2019)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images and what is known of them.

    Attributes:
        image: (V*B, 3, H, W); uint8 in [0, 255] as loaded, float and normalised once augmented. Where the backbone is
            frozen, (V*B, D, 1, 1) of its features in the place of augmented images.
            With V > 1 views the views follow each other: all images of view 0, then of view 1, ...
            Where several processes train together, a process may hold its own part of the images alone.
        target: (B,) class indices in [0, C).
        index: (B,) position of each image in its split.
        aux: what a method's `prepare` adds for its own `loss` (a mixing partner's target, a weight, ...).
        keys: (2,) words from which a method draws random numbers, see `longtail.draws`; new in each epoch.
        other: as many images again, drawn by the stage's `second_sampler`, where it has one; with the same `keys`.
        repeats: (B,) what keys an image's randomness in the place of `index`, where an epoch may show it again, see
            `longtail.data.showings`; None where it does not.
    """

    image: Num[Tensor, "vb c h w"]
    target: Int[Tensor, " b"]
    index: Int[Tensor, " b"]
    aux: Mapping[str, Tensor] = field(default_factory=dict)
    keys: Int64[Tensor, "2"] | None = None
    other: "Batch | None" = None
    repeats: Int[Tensor, " b"] | None = None

    @property
    def drawn_by(self) -> Int[Tensor, " b"]:
        """(B,) what, with (seed, epoch), keys all randomness of each image."""
        return self.index if self.repeats is None else self.repeats


class ModelOutput(NamedTuple):
    """What M experts say of B images. M = 1 is no special case.

    Attributes:
        features: (M, B, D) what each expert's classifier sees (the paper's h^m).
        logits: (M, B, C) of the active head bank (the paper's z^m).
        aux: further named outputs of a model, none of them of single images: "classifier" (M, C, D), the weights
            behind the logits, "scale" (), what the cosines of cosine classifiers are multiplied by (else 1), ...
    """

    features: Float[Tensor, "m b d"]
    logits: Float[Tensor, "m b c"]
    aux: Mapping[str, Tensor] = NOTHING


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        stage: name of the running stage.
        epoch: epochs finished in this stage; the running epoch, counted from 0.
        epochs: length of this stage in epochs.
        total_epoch: epochs finished in the whole run.
        step: optimizer steps finished in the whole run.
        seed: the run's seed.
    """

    stage: str
    epoch: int
    epochs: int
    total_epoch: int
    step: int
    seed: int
