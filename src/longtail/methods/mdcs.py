"""MDCS: more diverse experts with consistency self-distillation (Zhao et al. 2023).

Expert m minimises CE(z_m + lambda_m * log n) on a weakly and a strongly augmented view of each image, lambda evenly
spaced from lambda_first to lambda_last, published (-0.5, 1, 2.5). Besides, each expert's strong view learns from its
own weak view: distillation_weight * r * sum_m KL(softmax(weak) || softmax(strong)) of the adjusted logits, mean over
the images whose weak view the expert gets right with the adjustment; no gradient flows through the weak view. r grows
to 1 over the first `ramp_epochs` epochs (20 of the published 400).

The views are the policies `weak` and `strong`, which the recipe can set (`data.views.weak`); `data.augment` is not
used.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail.losses import expert_cross_entropy, kl_divergence, spread_adjustments
from longtail.method import Method, MethodOptions, Stage, Weight, Window
from longtail.types import Batch, ModelOutput, Progress


class MDCS(Method):
    """Experts for class priors from head to tail, with self-distillation from weakly to strongly augmented views."""

    paper = 'Zhao et al., "MDCS: More Diverse Experts with Consistency Self-distillation for Long-tailed Recognition", '
    paper += "ICCV 2023, arXiv:2308.09917"
    views = ("weak", "strong")
    adjustments: Tensor
    ramp: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            lambda_first, lambda_last: strength of the adjustment of the first and of the last expert.
            distillation_weight: of the divergence between the views.
            ramp_epochs: over so many epochs the weight grows to its full size; 0: it has it from the start.
        """

        lambda_first: float = Field(-0.5, ge=-100, le=100)
        lambda_last: float = Field(2.5, ge=-100, le=100)
        distillation_weight: Weight = 0.6
        ramp_epochs: Window = 10

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        added = spread_adjustments(class_counts, num_experts, options.lambda_first, options.lambda_last)
        self.register_buffer("adjustments", added, persistent=False)
        self.register_buffer(
            "ramp", torch.ones(())
        )  # a tensor, so that a recorded step reads it at each replay

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def start_epoch(self, progress: Progress) -> None:
        self.ramp.fill_(min(1.0, (progress.epoch + 1) / max(1, self.options.ramp_epochs)))

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        adjusted = output.logits + self.adjustments.unsqueeze(1)
        target = batch.target.repeat(self.num_views)
        terms = {"cross_entropy": expert_cross_entropy(adjusted, target).sum()}
        if self.options.distillation_weight > 0:
            weak, strong = adjusted.chunk(2, 1)
            right = (weak.argmax(2) == batch.target).to(weak.dtype)
            learned = kl_divergence(weak.detach(), strong, weight=right, normalise=True).sum()
            terms["consistency"] = self.options.distillation_weight * self.ramp * learned
        return terms

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return super().assumed_log_prior(stage) - self.adjustments.mean(0)
