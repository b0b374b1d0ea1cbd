"""ICL (IJCAI 2025): features are learned with four terms, then a new head bank with logit adjustment."""

from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, Weight
from longtail.method.options import StageEpochs, Warmup, Window, WindowStart
from longtail.types import Batch, ModelOutput, Progress

DIVERSITY = {
    "cosine": losses.adaptive_diversity, "cosine_floored": losses.adaptive_diversity_floored,
    "cosine_squared": losses.adaptive_diversity_squared, "distance": losses.feature_distance,
}  # fmt: skip
DISTILLATION = {
    "unordered_mean": losses.mutual_distillation, "ordered_sum": losses.mutual_distillation_ordered,
}  # fmt: skip


class ICL(Method):
    """Mixture of experts with parallel loss, mutual distillation, feature diversity and confusion-aware contrast."""

    paper = '"Enhancing Mixture of Experts with Independent and Collaborative Learning for Long-Tail Visual '
    paper += 'Recognition", IJCAI 2025'

    class Options(MethodOptions):
        """Keys of the recipe; a weight of 0 leaves a term out. docs/paper-vs-code.md says which form is whose.

        Attributes:
            competition: the parallel loss; False sums the experts' cross-entropies instead.
            feature_tau: strength of logit adjustment in these; our addition, the paper has none in this stage.
            parallel_factor: of the parallel loss: "one", "num_experts" M (equal losses then give their mean),
                "num_experts_squared" M^2 (their sum, the size of the loss without competition).
            distillation_form: mean over unordered pairs, or the sum over ordered pairs divided by C.
            diversity_form: "cosine", "cosine_floored" (at zero, a pair), "cosine_squared", "distance".
            diversity_stop, contrastive_start: first epoch without diversity, first epoch with the contrastive term.
            contrastive_mode: "add" it to the other terms, or "replace" them by it.
            similarity, negatives, num_negatives, own_class, temperature: the contrastive term's form, see there.
            confusion_decay, confusion_decay_every: weight kept on the old counts, applied each epoch or batch.
            prototype_decay, statistics_start: weight kept on the old prototype; first epoch that keeps any statistics.
            classifier_*, tau: the classifier stage; its warm-up may start above the peak.
        """

        competition: bool = True
        feature_tau: Weight = 0.0
        parallel_factor: Literal["one", "num_experts", "num_experts_squared"] = "num_experts_squared"
        distillation_form: Literal["unordered_mean", "ordered_sum"] = "unordered_mean"
        distillation_weight: Weight = 1.0
        distillation_temperature: Positive = 1.0
        distillation_detach_teacher: bool = False
        diversity_form: Literal["cosine", "cosine_floored", "cosine_squared", "distance"] = "cosine_floored"
        diversity_weight: Weight = 1.0
        diversity_stop: Window = 30
        contrastive_weight: Weight = 1.0
        contrastive_start: WindowStart = 120
        contrastive_mode: Literal["add", "replace"] = "add"
        similarity: Literal["cosine", "dot"] = "cosine"
        negatives: Literal["sum", "mean"] = "sum"
        num_negatives: int = Field(7, ge=1, le=1_000_000)
        own_class: bool = False
        temperature: Positive = 0.07
        confusion_decay: float = Field(0.1, gt=0, le=1)
        confusion_decay_every: Literal["epoch", "batch"] = "epoch"
        prototype_decay: float = Field(0.9, ge=0, le=1)
        statistics_start: WindowStart = 0
        classifier_epochs: StageEpochs = 20
        classifier_peak_lr: Positive = 0.1
        classifier_warmup_epochs: Warmup = 0
        classifier_warmup_start_lr: float = Field(0.0, ge=0, le=1e6)
        classifier_batch_norm: Literal["train", "eval"] = "train"
        tau: Weight = 1.0

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.confusion = losses.ConfusionTracker(num_experts, len(class_counts))
        self.prototypes = losses.PrototypeBank(num_experts, len(class_counts), feature_dim)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        feature = Stage("feature", epochs - length, bank="feature")
        classifier = Stage(
            "classifier", length, bank="classifier", trainable=("heads.*",),
            warmup_epochs=options.classifier_warmup_epochs, warmup_start_lr=options.classifier_warmup_start_lr,
            peak_lr=options.classifier_peak_lr, batch_norm=options.classifier_batch_norm,
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> tuple[str, bool, bool, bool]:
        """The stage, and whether diversity is on, statistics are kept and contrast is on."""
        o, epoch = self.options, progress.epoch
        diverse = epoch < o.diversity_stop and o.diversity_weight > 0 and self.num_experts > 1
        keeps = progress.stage == "feature" and epoch >= o.statistics_start and o.contrastive_weight > 0
        return progress.stage, diverse, keeps, epoch >= o.contrastive_start and o.contrastive_weight > 0

    def start_epoch(self, progress: Progress) -> None:
        if self.phase(progress)[2] and self.options.confusion_decay_every == "epoch":
            self.confusion.decay(self.options.confusion_decay)

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        if not self.phase(progress)[2]:
            return
        if self.options.confusion_decay_every == "batch":
            self.confusion.decay(self.options.confusion_decay)
        weight = 1.0 if self.options.confusion_decay_every == "epoch" else 1 - self.options.confusion_decay
        self.confusion.update(output.logits.argmax(dim=-1), batch.target, weight=weight)
        self.prototypes.update(output.features, batch.target, decay=self.options.prototype_decay)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, logits, features, target = self.options, output.logits, output.features, batch.target
        stage, diverse, _, contrast = self.phase(progress)
        if stage == "classifier":
            adjusted = losses.logit_adjusted_cross_entropy(logits, target, self.class_counts, tau=o.tau)
            return {"logit_adjustment": adjusted.sum()}
        replaced = contrast and o.contrastive_mode == "replace"
        terms = {} if replaced else self._collaboration(logits, target)
        if diverse and not replaced:
            terms["diversity"] = o.diversity_weight * DIVERSITY[o.diversity_form](features)
        if contrast:
            terms["contrastive"] = o.contrastive_weight * self._contrast(features, target)
        return terms

    def _collaboration(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        o, counts = self.options, self.class_counts
        each = losses.logit_adjusted_cross_entropy(logits, target, counts, tau=o.feature_tau)
        power = {"one": 0, "num_experts": 1, "num_experts_squared": 2}[o.parallel_factor]
        parallel = losses.parallel_loss(each, factor=self.num_experts**power)
        terms = {"parallel": parallel} if o.competition else {"cross_entropy": each.sum()}
        if o.distillation_weight > 0 and self.num_experts > 1:
            terms["distillation"] = o.distillation_weight * DISTILLATION[o.distillation_form](
                logits, temperature=o.distillation_temperature, detach_teacher=o.distillation_detach_teacher
            )
        return terms

    def _contrast(self, features: Tensor, target: Tensor) -> Tensor:
        o = self.options
        negatives, valid = self.confusion.most_confused(target, o.num_negatives, include_own=o.own_class)
        return losses.confusion_contrastive(
            features, target, self.prototypes.prototypes, negatives, valid,
            temperature=o.temperature, similarity=o.similarity, reduction=o.negatives,
        ).sum()  # fmt: skip

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        tau = self.options.tau if stage.name == "classifier" else self.options.feature_tau
        return losses.logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-tau)
