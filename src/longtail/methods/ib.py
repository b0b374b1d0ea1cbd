"""Influence-balanced loss, IB (Park et al. 2021): late in training, images with a large influence count less.

Before `start` the loss is cross-entropy. From then on it is mean_b of w_y CE_b * alpha / (g_b + epsilon), where
g_b = |p - onehot(y)|_1 |h|_1 is the size of the gradient that the classifier gets from the image and h its feature.
w_c are inverse counts with sum C, as in the paper's experiments, or class-balanced weights ("IB + CB"), or none. With
`gamma` the factor (1 - exp(-w_y CE_b))^gamma comes on top ("IB + focal"). The mean is over images, not over weights.

The code lets gradients flow through g, which the paper does not speak of: `detach` stops them. alpha = 1000 is what the
code runs with. The scale of the loss changes at `start`, so the learning rate has to fall there: the recipe's steps are
at 100, 160 and 180, each x 0.01.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, WindowStart
from longtail.types import Batch, ModelOutput, Progress


class InfluenceBalanced(Method):
    """Cross-entropy; later each image is weighted by the inverse of the gradient that it gives the classifier."""

    paper = 'Park et al., "Influence-Balanced Loss for Imbalanced Visual Classification", ICCV 2021, arXiv:2110.02444'
    weight: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            start: first epoch of the second phase.
            weights: of classes in the second phase.
            alpha: size of the second phase's loss.
            epsilon: added to an image's influence.
            gamma: of the focal factor; 0 leaves it out.
            detach: no gradient through an image's influence.
        """

        start: WindowStart = 100
        weights: Literal["inverse", "effective", "none"] = "inverse"
        alpha: Positive = 1000.0
        epsilon: Positive = 1e-3
        gamma: float = Field(0.0, ge=0, le=100)
        detach: bool = False

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        if options.weights == "none":
            weight = torch.ones(len(class_counts))
        else:
            weight = losses.class_weights(class_counts, rule=options.weights)
        self.register_buffer("weight", weight, persistent=False)

    def phase(self, progress: Progress) -> tuple[str, bool]:
        """The stage, and whether influence counts."""
        return progress.stage, progress.epoch >= self.options.start

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, (_, balanced) = self.options, self.phase(progress)
        each = losses.sample_cross_entropy(output.logits, batch.target)
        if not balanced:
            return {"cross_entropy": each.mean(1).sum()}
        missing = -torch.expm1(-each)  # 1 - p_y, half of |p - onehot|_1
        influence = 2 * missing * output.features.abs().sum(-1).to(each.dtype)
        if o.detach:
            influence = influence.detach()
        weighted = each * self.weight.to(each.dtype).index_select(0, batch.target)
        if o.gamma:
            weighted = losses.focal_factor(weighted, gamma=o.gamma) * weighted
        return {"influence_balanced": (weighted * o.alpha / (influence + o.epsilon)).mean(1).sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """That of the sampler times the weights, where these are on when the stage ends; influence comes on top."""
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.epochs > self.options.start else prior
