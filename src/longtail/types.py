"""The values that travel between the layers: batch, model output, place in a run, and the error a user can correct."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from jaxtyping import Float, Int, Int64, Num
from torch import Tensor

from longtail.printable import shortened

NOTHING: Mapping[str, Tensor] = MappingProxyType({})
Sampler = Literal["instance", "class_balanced", "square_root", "progressive", "reverse", "effective", "power"]
"""How an epoch's images are drawn, see `longtail.data.epoch_order`."""
Fit = Literal["crop", "pad", "squash"]
"""How an image that is not square becomes so: its largest centred square, the whole image between borders of one
colour, or the whole image with both sides brought to one length."""
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
        logits: (M, B, C) of the active bank of classifiers (the paper's z^m).
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


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what, what is valid, and what to do.

    Args:
        message: one line without the word "error"; the middle of a very long one is left out, as of the next.
        details: further lines, only where a list is the message (classes, files, changed keys).
    """

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(shortened(message))
        self.details = tuple(map(shortened, details))
        for line in self.details:
            self.add_note(line)  # for who sees the exception itself


class LocalInputError(InputError):
    """One that, where several processes train together, only the process that raises it knows of."""
