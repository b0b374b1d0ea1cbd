"""What a method may say about stages, batches, state, losses and predictions, and nothing else."""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from longtail.method.options import MethodOptions
from longtail.method.stage import HeldOut, Stage
from longtail.types import EFFECTIVE_BETA, Batch, ModelOutput, Progress

IN_A_STEP = ("prepare", "mix", "observe", "loss", "after_step", "expert_logits", "logits")
"""What a training step calls of a method."""
_DECLARED = {
    "prepare": "mixes_images",
    "logits": "predicts_with_state",
    "expert_logits": "predicts_with_state",
}
"""What a method that overrides a function has to say of it."""


class Method(nn.Module, ABC):
    """How to train M experts: subclass, write `loss`, add `Options` for what a recipe may set.

    Args:
        options: the recipe's [method] section, an instance of this class's `Options`.
        class_counts: (C,) training images of each class.
        num_experts: M.
        feature_dim: D.

    Where several processes train together, each calls the same functions with the whole batch, so a method need not
    know; only the images in `batch.image` are those of one process, unless the method says `mixes_images`.

    State that must survive a checkpoint and follow the device is a registered buffer, or a module that has some;
    parameters of the method (a projection, say) that take gradients are trained with the network's in every stage
    whose `trainable` names them as `method.NAME`, as the default does.

    Raises:
        TypeError: when a subclass is made that overrides a function and leaves out what it has to say of it.
    """

    class Options(MethodOptions):
        """No keys beside the name."""

    paper: ClassVar[str] = ""
    """Where the method comes from: authors, title, venue and year, and what it may be found by (arXiv, DOI)."""

    views: ClassVar[int | tuple[str, ...]] = 1
    """How often each image of a batch is augmented, by the recipe's own augmentation, or the name of each view's policy
    (`longtail.data.policies`; "train" is the recipe's own). The views follow each other along the batch dimension."""

    needs: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Keys of the recipe's [model] that the method cannot do without, and the value of each; of several values in a
    tuple any is good, and the first is taken where a recipe of another method is given this one."""

    mixes_images: ClassVar[bool] = False
    """Whether `prepare` makes an image out of others too, or more or fewer images, so that it has to see the whole
    batch in each process. A method that has its own `prepare` says which."""

    needs_pixels: ClassVar[str] = ""
    """What the method does to pixels that cannot be done to the features of a frozen backbone, in words that follow
    "it"; empty: nothing. Mixing whole images is no such thing: features are mixed in their place."""

    predicts_with_state: ClassVar[bool] = False
    """Whether `logits` or `expert_logits` look at the method's own buffers or parameters, so that these have to lie
    beside the network's weights wherever it predicts. A method that has its own of the two says which."""

    has_teacher: ClassVar[bool] = False
    """Whether `start` makes `self.teacher`, a network whose features and logits of a batch's images the method needs.

    They are in `batch.aux` as "teacher_features" (M, V*B, D) and "teacher_logits" (M, V*B, C), computed in the run's
    precision and without gradients, in the mode that the method puts the teacher into.
    """

    class_counts: Tensor

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        own = vars(cls)
        for function, declaration in _DECLARED.items():
            if function in own and declaration not in own:
                raise TypeError(
                    f"{cls.__name__} has its own `{function}` and has to say `{declaration} = True` or `False`; "
                    "see longtail.method.Method"
                )
        if "phase" not in own and any(function in own for function in IN_A_STEP):
            cls.phase = Method.phase  # type: ignore[method-assign]

    def __init__(
        self, options: MethodOptions, class_counts: Int[Tensor, " c"], num_experts: int, feature_dim: int
    ) -> None:
        super().__init__()
        self.options: Any = options  # of this class's `Options`
        self.num_experts, self.feature_dim = num_experts, feature_dim
        self.register_buffer("class_counts", class_counts.clone(), persistent=False)

    @classmethod
    def stages(cls, options: Any, epochs: int) -> tuple[Stage, ...]:
        """The run's stages; their lengths sum to `epochs`.

        Args:
            options: the recipe's [method] section, an instance of this class's `Options`.
            epochs: of the whole run.
        """
        return (Stage("train", epochs),)

    @classmethod
    def view_names(cls) -> tuple[str, ...]:
        """The policy of each view."""
        return ("train",) * cls.views if isinstance(cls.views, int) else cls.views

    @property
    def num_views(self) -> int:
        """V, how many views a batch holds."""
        return len(self.view_names())

    def start(self, model: nn.Module) -> None:
        """Called once with the network's random weights, before the first stage and before any state is restored.

        Here a method makes what it derives from the model, such as a moving-average copy (as a submodule of its own).
        """

    def phase(self, progress: Progress) -> Hashable | None:
        """What may be recorded once and replayed: at equal phases all steps do the same operations on tensors.

        A replay runs none of the method's Python, so whatever a step's functions (`prepare`, `mix`, `observe`, `loss`,
        `after_step`, `logits`) take from `progress`, or from an attribute that is no tensor, has to be settled by the
        phase, and tensors that outlive a step are changed in place. None, the default, is never recorded: every step
        runs as it is written; so it does for a subclass that overrides one of these and not `phase`.
        """
        return None

    def survey_epochs(self, stage: Stage) -> Collection[int]:
        """The epochs of a stage before which `survey` is called; by default none."""
        return ()

    def survey(
        self, features: Float[Tensor, "m n d"], targets: Int[Tensor, " n"], progress: Progress
    ) -> None:
        """Called before `start_epoch` of the epochs that `survey_epochs` names, without gradients.

        Args:
            features: (M, N, D) of all training images, not augmented, by the network in evaluation mode.
            targets: (N,) their classes.
            progress: of the epoch that is about to begin.
        """

    def start_epoch(self, progress: Progress) -> None:
        """Called before the first batch of each epoch."""

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        """The augmented batch as the model shall see it (mixing, ...); random numbers are those of `longtail.draws`.

        The images may become more or fewer: as many times B as there are then, so many views go through the network.
        """
        return batch

    def mix(
        self, features: Float[Tensor, "m vb d"], batch: Batch, progress: Progress
    ) -> Float[Tensor, "m rows d"]:
        """What the classifiers see: by default the features as they are.

        Args:
            features: (M, V*B, D) of the batch as `prepare` left it, with gradients.
            batch: as `prepare` left it.
            progress: where the run stands.
        """
        return features

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        """Update statistics from a training batch; runs without gradients, before `loss`, never in evaluation."""

    @abstractmethod
    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        """The named terms of the loss, already weighted; the total is their plain sum."""

    def after_step(self, model: nn.Module, progress: Progress) -> None:
        """Called after each optimizer step, without gradients: projections of weights, moving averages."""

    def finalize(self, model: nn.Module, held_out: HeldOut | None) -> str | None:
        """Called once after the last stage, without gradients, before the weights are written.

        Args:
            model: the trained network.
            held_out: what it says of the validation images; None where the recipe holds none out.

        Returns:
            What was done, for the user; None where no prediction changes by it, so that the evaluation of the last
            epoch still holds.
        """
        return None

    def expert_logits(self, output: ModelOutput) -> Float[Tensor, "m b c"]:
        """The prediction of each expert: by default its logits as they are."""
        return output.logits

    def logits(self, output: ModelOutput) -> Float[Tensor, "b c"]:
        """The prediction of all experts together: by default the mean of `expert_logits`."""
        return self.expert_logits(output).mean(dim=0)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """(C,) log of the class prior that `logits` stand for, up to a constant.

        softmax(logits) is the posterior of a class for images that come with these frequencies. By default they are
        those of training, that is the class counts as the sampler shows them.

        Args:
            stage: the last stage that was trained.
        """
        counts = self.class_counts.clamp_min(1).double()
        if stage.sampler == "effective":
            return counts.log() - (-torch.expm1(counts * math.log(EFFECTIVE_BETA))).log()
        powers = {
            "instance": 1.0,
            "square_root": 0.5,
            "class_balanced": 0.0,
            "progressive": 0.0,
            "reverse": -1.0,
        }
        return powers.get(stage.sampler, stage.sampler_power) * counts.log()
