"""RISDA (Chen et al. 2022): implicit augmentation of rare classes with covariances of those they are confused with.

Stage one is cross-entropy; it counts which classes are taken for which (KG: the rows, normalised, of the confusion
matrix of its epoch with the best training accuracy). Stage two freezes the features and goes on with the same
classifiers by cross-entropy weighted with (1 - beta) / (1 - beta^n), divided by the sum of the drawn weights, of

    z_c + strength t/T / 2 v' S_y v + shift t/T v' (sum_k KG_yk mu_k - mu_y),    v = w_c - w_y,

t of the run's T epochs being done. mu_k are mean features as stage two begins, of images that are not augmented. S_y is
the running covariance of class y in stage two; of all classes but the largest share `head`, the mean of all classes'
by KG_y.

The code's head are the 20 classes of the lowest index of 100, with the classes in order of size; ranks are taken here.
As in the code, features of all classes are shifted and batch norm goes on using and updating batch statistics. The code
counts KG after each epoch, in evaluation mode, and writes the mixed covariances back; here neither is done. The code's
accuracy is by its own account computed in another way than others'.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from longtail import losses
from longtail.method import Method, MethodOptions, Milestones, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress


class RISDA(Method):
    """Plain training, then implicit augmentation of rare classes with covariances of classes they are confused with."""

    paper = 'Chen et al., "Imagine by Reasoning: A Reasoning-Based Implicit Semantic Data Augmentation for '
    paper += 'Long-Tailed Classification", AAAI 2022, arXiv:2112.07928'
    needs = MappingProxyType({"head": "linear"})
    best: Tensor
    best_accuracy: Tensor
    means: Tensor
    done: Tensor
    weight: Tensor
    rare: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            strength, shift: how far features spread and move at the end of the run (the paper's beta and alpha).
            head: share of the classes, the largest, that keep to their own spread.
            diagonal: of the covariances keep the variances alone, for many classes or long features.
            beta: of the weights of classes.
            classifier_epochs, classifier_peak_lr, classifier_milestones: the second stage, whose rate is multiplied
                by 0.01 at each milestone.
        """

        strength: Weight = 0.75
        shift: Weight = 0.5
        head: float = Field(0.2, ge=0, le=1)
        diagonal: bool = False
        beta: float = Field(0.9999, ge=0, lt=1)
        classifier_epochs: StageEpochs = 40
        classifier_peak_lr: Positive = 0.001
        classifier_milestones: Milestones = (20,)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        classes = len(class_counts)
        self.confusion = losses.ConfusionTracker(num_experts, classes)
        self.spread = losses.ClassStatistics(num_experts, classes, feature_dim, diagonal=options.diagonal)
        self.register_buffer("best", torch.zeros(num_experts, classes, classes))
        self.register_buffer("best_accuracy", torch.zeros(num_experts))
        self.register_buffer("means", torch.zeros(num_experts, classes, feature_dim))
        self.register_buffer("done", torch.zeros(()))  # t / T
        weight = losses.class_weights(class_counts, rule="effective", beta=options.beta)
        self.register_buffer("weight", weight, persistent=False)
        largest = class_counts.argsort(descending=True, stable=True)[: round(options.head * classes)]
        rare = torch.ones(classes).index_fill(0, largest, 0.0)
        self.register_buffer("rare", rare, persistent=False)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        classifier = Stage(
            "classifier", length, trainable=("heads.*",), peak_lr=options.classifier_peak_lr, warmup_epochs=0,
            milestones=options.classifier_milestones, decay_factor=0.01, batch_norm="train",
        )  # fmt: skip
        feature = Stage("feature", epochs - length)
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def survey_epochs(self, stage: Stage) -> Collection[int]:
        return {0} if stage.name == "classifier" else ()

    def survey(
        self, features: Float[Tensor, "m n d"], targets: Int[Tensor, " n"], progress: Progress
    ) -> None:
        member = functional.one_hot(targets, len(self.class_counts)).to(features.dtype)
        self.means.copy_(member.T @ features / member.sum(0)[:, None].clamp_min(1))

    def start_epoch(self, progress: Progress) -> None:
        """Keep the last epoch's confusion matrix, where it is the best so far, and begin another."""
        counts = self.confusion.matrix()
        accuracy = counts.diagonal(dim1=1, dim2=2).sum(1) / counts.sum((1, 2)).clamp_min(1)
        better = accuracy >= self.best_accuracy
        self.best.copy_(torch.where(better[:, None, None], counts, self.best))
        self.best_accuracy.copy_(torch.where(better, accuracy, self.best_accuracy))
        self.confusion.counts.zero_()
        total = progress.total_epoch - progress.epoch + progress.epochs
        self.done.fill_(progress.total_epoch / total)

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        if progress.stage == "feature":
            self.confusion.update(output.logits.argmax(dim=-1), batch.target)
        else:
            self.spread.update(output.features, batch.target)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        if progress.stage == "feature":
            return {"cross_entropy": losses.expert_cross_entropy(output.logits, batch.target).sum()}
        own = self.spread.covariances
        known = self.best / self.best.sum(2, keepdim=True).clamp_min(1)
        others = (known @ own.flatten(2)).view_as(own)
        rare = self.rare.view(-1, *[1] * (own.dim() - 2))
        shifts = known @ self.means - self.means
        logits = losses.implicit_augmentation(
            output.logits, batch.target, output.aux["classifier"], self.done * torch.lerp(own, others, rare),
            strength=self.options.strength, shifts=self.done * shifts, shift_strength=self.options.shift,
        )  # fmt: skip
        loss = losses.weighted_cross_entropy(logits, batch.target, self.weight, normalise=True)
        return {"augmented": loss.sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """That of the sampler, in the second stage times the weights; the spread comes on top."""
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.name == "classifier" else prior
