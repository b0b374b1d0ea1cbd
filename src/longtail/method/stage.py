"""A run's stages, and what is known at their end."""

import fnmatch
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from longtail.types import Sampler


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run in which the same parameters are trained with the same sampler.

    Attributes:
        name: what logs and `Progress.stage` call it.
        epochs: its length.
        bank: which head bank is trained, evaluated and, in the last stage, shipped; a bank that no earlier
            stage trained is fresh.
        trainable: shell patterns over parameter names, those of the method's own parameters being `method.NAME`; all
            others are frozen.
        sampler: how images are drawn, see `longtail.data.epoch_order`.
        sampler_power: of the sampler "power".
        second_sampler: draws as many images again for each batch, as `Batch.other`; None: there is no other.
        peak_lr: None takes the recipe's `optim.peak_lr`.
        final_lr: where the cosine ends; None takes the recipe's `optim.final_lr`.
        lr_shares: (pattern, share): parameters whose name matches learn at this share of the rate; of several patterns
            that match the first counts, and a parameter that none matches learns at the full rate.
        warmup_epochs, warmup_start_lr: a linear way to the rate above from `warmup_start_lr`, below or above it; 0
            epochs: none. None takes the recipe's.
        milestones, decay_factor: instead of the cosine, multiply the rate by `decay_factor` when each of these
            epochs of the stage begins. None takes the recipe's `optim.milestones` in the first stage and a cosine in
            later ones, and the recipe's `optim.decay_factor`.
        weight_decay: None takes the recipe's `optim.weight_decay`.
        batch_norm: "eval" keeps the running statistics of frozen layers as they are and uses them; "train" goes on
            using and updating batch statistics even where the parameters are frozen.
    """

    name: str
    epochs: int
    bank: str = "first"
    trainable: tuple[str, ...] = ("*",)
    sampler: Sampler = "instance"
    sampler_power: float = 1.0
    second_sampler: Sampler | None = None
    peak_lr: float | None = None
    final_lr: float | None = None
    lr_shares: tuple[tuple[str, float], ...] = ()
    warmup_epochs: int | None = None
    warmup_start_lr: float | None = None
    milestones: tuple[int, ...] | None = None
    decay_factor: float | None = None
    weight_decay: float | None = None
    batch_norm: Literal["train", "eval"] = "train"

    def trains(self, name: str) -> bool:
        """Whether the parameter of this name is trained."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.trainable)

    @property
    def trains_classifiers_alone(self) -> bool:
        """Whether the features stay as they are: only classifiers, and what the method itself owns, are trained."""
        return all(pattern.startswith(("heads.", "method.")) for pattern in self.trainable)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the trained network says of the validation images, which were not trained on.

    Attributes:
        features: (M, N, D).
        logits: (M, N, C) of the last stage's head bank.
        targets: (N,).
    """

    features: Float[Tensor, "m n d"]
    logits: Float[Tensor, "m n c"]
    targets: Int[Tensor, " n"]
