"""NCL: nested collaborative learning (Li et al. 2022).

M complete networks see the same images. With logits adjusted by the class counts, z~ = z + log n, the loss is sum_m
CE(z~_m) + hard_weight * sum_m CE(z~_m * mask) + w / (M - 1) * sum over ordered pairs of KL, of softmax(z~) and again of
softmax(z~ * mask), w = distillation_weight. mask is 1 for the label and the hardest classes, those with the highest
logits, and 0 for the others, 30 % of all classes together.

As in the published code: masked logits are multiplied by 0, so that they stay in the softmax with a logit of 0; the
hard classes are those of the first network's bare logits, for all networks; gradients flow through teachers and
learners. The paper's contrastive term with a queue of keys is left out; the code has a configuration without it. The
code's images were stored as JPEG once, so that its CIFAR figures are of other pixels.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class NCL(Method):
    """Several networks with mutual distillation, over all classes and over the hardest classes of each image."""

    paper = 'Li et al., "Nested Collaborative Learning for Long-Tailed Visual Recognition", CVPR 2022, arXiv:2203.15359'

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            hard_share: how many of the classes the second part looks at, the label among them.
            hard_weight: of its cross-entropy.
            distillation_weight: of both divergences.
        """

        hard_share: float = Field(0.3, gt=0, le=1)
        hard_weight: Weight = 1.0
        distillation_weight: Weight = 0.6

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, target = self.options, batch.target
        adjusted = losses.logit_adjust(output.logits, self.class_counts)
        hard = adjusted * self._mask(output.logits[0].detach(), target)
        terms = {"cross_entropy": losses.expert_cross_entropy(adjusted, target).sum()}
        if o.hard_weight > 0:
            terms["hard_cross_entropy"] = o.hard_weight * losses.expert_cross_entropy(hard, target).sum()
        if o.distillation_weight > 0 and self.num_experts > 1:
            weight = o.distillation_weight / (self.num_experts - 1)
            terms["distillation"] = weight * losses.pairwise_kl(adjusted)
            terms["hard_distillation"] = weight * losses.pairwise_kl(hard)
        return terms

    def _mask(self, logits: Tensor, target: Tensor) -> Float[Tensor, "b c"]:
        number = max(1, round(self.options.hard_share * logits.shape[1]))
        chosen = logits.scatter(1, target.unsqueeze(1), torch.inf).topk(number, 1).indices
        return torch.zeros_like(logits).scatter(1, chosen, 1.0)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return losses.logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-1.0)
