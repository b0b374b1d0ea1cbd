"""TCL, the highest reported with ICL's network (CVPR 2026). Written from public notes on the paper; there is no code.

The sum of three terms, with z_k the logits of expert k, p_k their softmax, y the label and pi the class prior of
training:

- sum_k CE(z_k + delta_k * log pi), delta from delta_first to delta_last, published (0.9, 1, 1.1);
- sum over ordered pairs k != j of the batch mean of g_k * w_y * KL(p_k || p_j): only an expert that is right teaches
  (g_k = 1 where argmax p_k = y, else 0), and classes that are learned badly count more, with
  w_c = C * sqrt(1 - a_c) / sum sqrt(1 - a) and a_c the moving average of the training accuracy of class c;
- beta * sum_k KL(p_T || p~_k), the calibration: the teacher takes the mean logits, puts their mean over classes in
  place of every wrong class that lies above the label, and both it and the learners have -30 in the label's place.

Not stated in the notes, and chosen here: one stage over the whole run; gradients flow through teachers
(`detach_teacher`); p_k is of the bare logits, those that predict; the calibration is of all images, as the formula has
it, where the text speaks of images that every expert gets wrong (`calibrate`); the accuracy
is that of the mean logits, with a decay of 0.9.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress

LOW = -30.0  # the logit of what shall have no mass


class TCL(Method):
    """Logit-adjusted experts with distillation from those that are right, most for classes that are learned badly.

    Wrong classes above the label are calmed by what all experts say together.
    """

    paper = "TCL, CVPR 2026 (from public notes on the paper)"
    adjustments: Tensor
    accuracy: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            delta_first, delta_last: strength of the logit adjustment of the first and of the last expert.
            teaching_weight: of the divergences between experts.
            calibration_weight: beta.
            calibrate: which images: "all", or "all_wrong" those that every expert gets wrong.
            detach_teacher: gradients go to the learners alone.
            accuracy_decay: weight kept on the old accuracy of a class, each time that a batch has it.
        """

        delta_first: float = Field(0.9, ge=-100, le=100)
        delta_last: float = Field(1.1, ge=-100, le=100)
        teaching_weight: Weight = 1.0
        calibration_weight: Weight = 0.02
        calibrate: Literal["all", "all_wrong"] = "all"
        detach_teacher: bool = False
        accuracy_decay: float = Field(0.9, ge=0, lt=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        added = losses.spread_adjustments(class_counts, num_experts, options.delta_first, options.delta_last)
        self.register_buffer("adjustments", added, persistent=False)
        self.register_buffer("accuracy", torch.zeros(len(class_counts)))

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        right = (output.logits.mean(0).argmax(1) == batch.target).to(self.accuracy.dtype)
        number = torch.zeros_like(self.accuracy).index_add_(0, batch.target, torch.ones_like(right))
        share = torch.zeros_like(self.accuracy).index_add_(0, batch.target, right) / number.clamp_min(1)
        kept = torch.where(number > 0, self.options.accuracy_decay, 1.0)
        self.accuracy.lerp_(share, 1 - kept)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, logits, target = self.options, output.logits, batch.target
        adjusted = logits + self.adjustments.unsqueeze(1)
        terms = {"logit_adjustment": losses.expert_cross_entropy(adjusted, target).sum()}
        right = logits.argmax(2) == target
        if o.teaching_weight > 0 and self.num_experts > 1:
            weight = right * self._class_weights().index_select(0, target)
            taught = losses.pairwise_kl(logits, weight=weight, detach_teacher=o.detach_teacher)
            terms["teaching"] = o.teaching_weight * taught
        if o.calibration_weight > 0:
            chosen = torch.ones_like(right[0]) if o.calibrate == "all" else ~right.any(0)
            terms["calibration"] = o.calibration_weight * self._calibration(logits, target, chosen)
        return terms

    def _class_weights(self) -> Float[Tensor, " c"]:
        missing = (1 - self.accuracy).clamp_min(0).sqrt()
        return missing * (len(missing) / missing.sum().clamp_min(1e-6))

    def _calibration(self, logits: Tensor, target: Tensor, chosen: Tensor) -> Tensor:
        mean = logits.mean(0)
        is_target = target.unsqueeze(1) == torch.arange(logits.shape[2], device=target.device)
        above = mean > mean.gather(1, target.unsqueeze(1))
        teacher = torch.where(above, mean.mean(1, keepdim=True), mean).masked_fill(is_target, LOW)
        teacher = teacher.detach() if self.options.detach_teacher else teacher
        learner = logits.masked_fill(is_target, LOW)
        return losses.kl_divergence(teacher.unsqueeze(0), learner, weight=chosen.to(mean.dtype)).sum()

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return super().assumed_log_prior(stage) - self.adjustments.mean(0)
