"""The contract of a method: what it may say about stages, batches, state, losses and predictions, and nothing else.

A method is one file in `longtail/methods/` holding one subclass of `Method`; the file's name is the method's name.
Only `loss` is mandatory. A method touches no optimizer, device, loop, log or file.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from longtail.types import Batch, ModelOutput, Progress


@dataclass(frozen=True, slots=True)
class Epochs:
    """Marks a recipe's integer as a number of epochs, so that it scales when the user shortens a run.

    Args:
        kind: "window" counts epochs of the first stage, scales in proportion to the run and is rounded down; "start"
            is the edge at which such a window opens; "stage" is the length of a stage: rounded up and never scaled
            below `floor`, because a fresh classifier trained for less has not converged; "warmup" is rounded up.
        floor: fewest epochs of a stage.
    """

    kind: Literal["window", "start", "stage", "warmup"] = "window"
    floor: int = 4

    def scale(self, value: int, old: int, new: int) -> int:
        """`value` epochs of a run of `old` epochs, in a run of `new` epochs."""
        if self.kind in ("window", "start"):
            return value * new // old
        rounded_up = -(-value * new // old)
        if self.kind == "warmup" or value == 0:
            return rounded_up
        return rounded_up if new > old else min(value, max(rounded_up, min(self.floor, new // 2)))


MOST_EPOCHS = 1_000_000
Window = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("window")]
WindowStart = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("start")]
StageEpochs = Annotated[int, Field(ge=0, le=MOST_EPOCHS), Epochs("stage")]
Weight = Annotated[float, Field(ge=0, le=1e6)]
"""How much a term, a prior or a decay counts."""
Positive = Annotated[float, Field(gt=0, le=1e6)]
"""A learning rate, a temperature."""


def _marked(options: BaseModel) -> dict[str, Epochs]:
    marks = {
        key: next((mark for mark in field.metadata if isinstance(mark, Epochs)), None)
        for key, field in type(options).model_fields.items()
    }
    return {key: mark for key, mark in marks.items() if mark is not None}


def scaled_epochs(options: BaseModel, old: int, new: int) -> dict[str, int]:
    """The options that count epochs of a run of `old` epochs, as a run of `new` epochs would have them."""
    return {key: mark.scale(getattr(options, key), old, new) for key, mark in _marked(options).items()}


def window_starts(options: BaseModel) -> dict[str, int]:
    """The options at which an epoch window opens, in epochs of the first stage."""
    return {key: getattr(options, key) for key, mark in _marked(options).items() if mark.kind == "start"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run in which the same parameters are trained with the same sampler.

    Attributes:
        name: what logs and `Progress.stage` call it.
        epochs: its length.
        bank: which bank of classifiers is trained, evaluated and, in the last stage, shipped; a bank that no earlier
            stage trained is fresh.
        trainable: shell patterns over parameter names; all others are frozen.
        sampler: how images are drawn, see `longtail.data.epoch_order`.
        peak_lr: None takes the recipe's `optim.peak_lr`.
        warmup: whether the recipe's warm-up opens this stage.
        milestones, decay_factor: instead of the cosine, multiply the rate by `decay_factor` when each of these
            epochs of the stage begins.
        weight_decay: None takes the recipe's `optim.weight_decay`.
        batch_norm: "eval" keeps the running statistics of frozen layers as they are and uses them; "train" goes on
            using and updating batch statistics even where the parameters are frozen.
    """

    name: str
    epochs: int
    bank: str = "first"
    trainable: tuple[str, ...] = ("*",)
    sampler: Literal["instance", "class_balanced", "square_root", "progressive"] = "instance"
    peak_lr: float | None = None
    warmup: bool = True
    milestones: tuple[int, ...] = ()
    decay_factor: float = 0.1
    weight_decay: float | None = None
    batch_norm: Literal["train", "eval"] = "train"

    @property
    def trains_classifiers_alone(self) -> bool:
        """Whether the features stay as they are."""
        return all(pattern.startswith("heads.") for pattern in self.trainable)


class MethodOptions(BaseModel):
    """The recipe's [method] section; a method adds its own keys in a subclass `Options`.

    Every number has a smallest and a largest value: a slip of the keyboard is refused, and not tried.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str


class Method(nn.Module, ABC):
    """How to train M experts: subclass, write `loss`, add `Options` for what a recipe may set.

    Args:
        options: the recipe's [method] section, an instance of this class's `Options`.
        class_counts: (C,) training images of each class.
        num_experts: M.
        feature_dim: D.

    Where several processes train together, each calls the same functions with the whole batch, so a method need not
    know; only the images in `batch.image` are those of one process, unless the method overrides `prepare`.

    State that must survive a checkpoint and follow the device is a registered buffer, or a module that has some;
    parameters of the method (a projection, say) that take gradients are trained with the network's in every stage.
    """

    class Options(MethodOptions):
        """No keys beside the name."""

    views: ClassVar[int | tuple[str, ...]] = 1
    """How often each image of a batch is augmented, by the recipe's own augmentation, or the name of each view's policy
    (`longtail.data.policies`; "train" is the recipe's own). The views follow each other along the batch dimension."""

    class_counts: Tensor

    def __init__(
        self, options: MethodOptions, class_counts: Int[Tensor, " c"], num_experts: int, feature_dim: int
    ) -> None:
        super().__init__()
        self.num_experts, self.feature_dim = num_experts, feature_dim
        self.register_buffer("class_counts", class_counts.clone(), persistent=False)

    @classmethod
    def view_names(cls) -> tuple[str, ...]:
        """The policy of each view."""
        return ("train",) * cls.views if isinstance(cls.views, int) else cls.views

    @property
    def num_views(self) -> int:
        """V, how many views a batch holds."""
        return len(self.view_names())

    def start(self, model: nn.Module) -> None:
        """Called once with the network's fresh weights, before the first stage and before any state is restored.

        Here a method makes what it derives from the model, such as a moving-average copy (as a submodule of its own).
        """

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """The run's stages; their lengths sum to `epochs`."""
        return (Stage("train", epochs),)

    def phase(self, progress: Progress) -> Hashable | None:
        """What may be recorded once and replayed: at equal phases all steps do the same operations on tensors.

        A replay runs none of the method's Python, so whatever `prepare`, `observe`, `loss` and `after_step` take from
        `progress`, or from an attribute that is no tensor, has to be settled by the phase, and tensors that outlive a
        step are changed in place. None, the default, is never recorded: every step runs as it is written; so it does
        for a subclass that overrides one of these and not `phase`.
        """
        return None

    def start_epoch(self, progress: Progress) -> None:
        """Called before the first batch of each epoch."""

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        """The augmented batch as the model shall see it (mixing, ...); draw from (`progress.seed`, epoch, index)."""
        return batch

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        """Update statistics from a training batch; runs without gradients, before `loss`, never in evaluation."""

    @abstractmethod
    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        """The named terms of the loss, already weighted; the total is their plain sum."""

    def after_step(self, model: nn.Module, progress: Progress) -> None:
        """Called after each optimizer step, without gradients: projections of weights, moving averages."""

    def finalize(self, model: nn.Module) -> None:
        """Called once after the last stage, without gradients, before the weights are written."""

    def expert_logits(self, output: ModelOutput) -> Float[Tensor, "m b c"]:
        """The prediction of each expert: by default its logits as they are."""
        return output.logits

    def logits(self, output: ModelOutput) -> Float[Tensor, "b c"]:
        """The prediction of all experts together: by default the mean of `expert_logits`."""
        return self.expert_logits(output).mean(dim=0)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """(C,) log of the class mix that `logits` stand for, up to a constant.

        softmax(logits) is the posterior of a class for images that come with these frequencies. By default they are
        those of training, that is the class counts as the sampler shows them.

        Args:
            stage: the last stage that was trained.
        """
        power = {"instance": 1.0, "square_root": 0.5, "class_balanced": 0.0, "progressive": 0.0}[
            stage.sampler
        ]
        return power * self.class_counts.clamp_min(1).double().log()
