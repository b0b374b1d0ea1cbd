"""SHIKE: self-heterogeneous integration with knowledge excavation (Jin et al. 2023).

Feature stage: the sum over experts of CE, plus mutual distillation over ordered pairs of experts, plus hard-class
mining: weight * sum_m KL(softmax(t) || softmax(z_m with z_y = -30)). The teacher t of an image with label y is made
from all experts: at the other class with the highest mean logit, the hardest, that mean; at the remaining other classes
the highest logit of any expert; gradients flow through both sides. Classifier stage: a new bank of cosine heads
on frozen features, with logit adjustment. The depth-wise fusion gates are the network's (`model.gates`).

The published code leaves the target's place in t at 0, where the text speaks of the other classes alone, so that e^0 of
the teacher's mass lies on the label; "left_out" sets it to -30 as in the learners. Its divergences are divided by the
batch size and by the number of classes; `divide_by_classes` = false gives the usual batch mean. Batch norm goes on
moving in the classifier stage, whose rate warms up again.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress

LOW = -30.0  # the logit of what shall have no mass


class SHIKE(Method):
    """Experts on features of different depths, with mutual distillation and suppression of the hardest wrong class.

    A second stage freezes the features and trains fresh classifiers with logit adjustment.
    """

    paper = 'Jin et al., "Long-Tailed Visual Recognition via Self-Heterogeneous Integration with Knowledge '
    paper += 'Excavation", CVPR 2023, arXiv:2304.01279'

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            mining_weight: of the hard-class mining.
            distillation_weight: of the mutual distillation.
            teacher_target: what the mining teacher has in the label's place: "zero" is the logit 0 of the published
                code, "left_out" takes it out as the learners do.
            divide_by_classes: divide both divergences by C as well, as the published code does.
            classifier_epochs, classifier_peak_lr, classifier_batch_norm, tau: the classifier stage.
        """

        mining_weight: Weight = 10.0
        distillation_weight: Weight = 1.0
        teacher_target: Literal["zero", "left_out"] = "zero"
        divide_by_classes: bool = True
        classifier_epochs: StageEpochs = 20
        classifier_peak_lr: Positive = 0.1
        classifier_batch_norm: Literal["train", "eval"] = "train"
        tau: Weight = 1.0

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        feature = Stage("feature", epochs - length, bank="feature")
        classifier = Stage(
            "classifier", length, bank="classifier", trainable=("heads.*",),
            peak_lr=options.classifier_peak_lr, batch_norm=options.classifier_batch_norm,
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, logits, target = self.options, output.logits, batch.target
        if progress.stage == "classifier":
            adjusted = losses.logit_adjusted_cross_entropy(logits, target, self.class_counts, tau=o.tau)
            return {"logit_adjustment": adjusted.sum()}
        terms = {"cross_entropy": losses.expert_cross_entropy(logits, target).sum()}
        share = 1 / logits.shape[2] if o.divide_by_classes else 1.0
        if o.mining_weight > 0:
            terms["mining"] = o.mining_weight * share * self._mining(logits, target)
        if o.distillation_weight > 0 and self.num_experts > 1:
            terms["distillation"] = o.distillation_weight * share * losses.pairwise_kl(logits)
        return terms

    def _mining(self, logits: Tensor, target: Tensor) -> Tensor:
        is_target = target.unsqueeze(1) == torch.arange(logits.shape[2], device=target.device)
        mean = logits.mean(0).masked_fill(is_target, LOW)
        hardest = mean.argmax(1, keepdim=True)
        teacher = logits.amax(0).scatter(1, hardest, mean.gather(1, hardest))
        teacher = teacher.masked_fill(is_target, 0.0 if self.options.teacher_target == "zero" else LOW)
        return losses.kl_divergence(teacher.unsqueeze(0), logits.masked_fill(is_target, LOW)).sum()

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        tau = self.options.tau if stage.name == "classifier" else 0.0
        return losses.logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-tau)
