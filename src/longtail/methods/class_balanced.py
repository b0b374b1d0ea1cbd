"""Class-balanced loss (Cui et al. 2019): sum_b w_y CE_b / sum_b w_y with w_c = (1 - beta) / (1 - beta^n_c), sum C.

With `start` at the first fall of the learning rate it is deferred re-weighting (DRW, Cao et al. 2019). With `gamma` it
is the paper's class-balanced focal loss, w_y (1 - p_y)^gamma CE divided by B. LDAM's code, which many later ones copy,
takes (1 - p_y) from the weighted cross-entropy; the paper's form is built. The steps of the rate are the recipe's.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Stage, WindowStart
from longtail.types import Batch, ModelOutput, Progress


class ClassBalanced(Method):
    """Cross-entropy weighted by the inverse of the effective number of images of each class."""

    paper = (
        'Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, arXiv:1901.05555'
    )
    weight: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            beta: 0 weighs all classes alike, close to 1 by their inverse counts.
            start: first epoch with weights; before it, all images weigh the same.
            gamma: of the focal loss; 0 is cross-entropy.
        """

        beta: float = Field(0.9999, ge=0, lt=1)
        start: WindowStart = 0
        gamma: float = Field(0.0, ge=0, le=100)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        weight = losses.class_weights(class_counts, rule="effective", beta=options.beta)
        self.register_buffer("weight", weight, persistent=False)

    def phase(self, progress: Progress) -> tuple[str, bool]:
        """The stage, and whether classes are weighted."""
        return progress.stage, progress.epoch >= self.options.start

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        logits, target, gamma = output.logits, batch.target, self.options.gamma
        _, weighted = self.phase(progress)
        weight = self.weight if weighted else torch.ones_like(self.weight)
        if gamma:
            each = losses.sample_cross_entropy(logits, target)
            focal = losses.focal_factor(each, gamma=gamma) * each
            return {"focal": (focal * weight.index_select(0, target)).mean(1).sum()}
        return {"cross_entropy": losses.weighted_cross_entropy(logits, target, weight, normalise=True).sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """That of the sampler times the weights, where these are on when the stage ends."""
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.epochs > self.options.start else prior
