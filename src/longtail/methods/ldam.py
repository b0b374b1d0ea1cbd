"""LDAM-DRW (Cao et al. 2019): margins that grow as classes get rarer, then deferred re-weighting.

A cosine classifier of scale s (the recipe's `model.cosine_scale`, 30) says s cos_c; the loss is the cross-entropy of
s (cos_c - m_y [c = y]) with m_c = max_margin (n_min / n_c)^(1/4). From `drw_start` each image weighs
(1 - beta) / (1 - beta^n) of its class's n, and the loss is divided by the sum of the drawn weights, as in the code.

The paper defers both the weights and, in one experiment, the sampling; DRW is built. Code and paper agree else. The
rate's two steps (x 0.01 at 160, where the weights begin, and at 180) are the recipe's.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Stage, WindowStart
from longtail.types import Batch, ModelOutput, Progress


class LDAM(Method):
    """Cosine softmax with margins that are larger for rare classes; late in training, class weights (DRW)."""

    paper = (
        'Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019, '
    )
    paper += "arXiv:1906.07413"
    needs = MappingProxyType({"head": "cosine"})
    margins: Tensor
    weight: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            max_margin: of the smallest class, in cosines.
            drw_start: first epoch with weights of classes.
            beta: of the weights; 0 weighs all classes alike, which is LDAM without DRW.
        """

        max_margin: float = Field(0.5, ge=0, le=2)
        drw_start: WindowStart = 160
        beta: float = Field(0.9999, ge=0, lt=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        margins = losses.ldam_margins(class_counts, largest=options.max_margin)
        weight = losses.class_weights(class_counts, rule="effective", beta=options.beta)
        self.register_buffer("margins", margins, persistent=False)
        self.register_buffer("weight", weight, persistent=False)

    def phase(self, progress: Progress) -> tuple[str, bool]:
        """The stage, and whether classes are weighted."""
        return progress.stage, progress.epoch >= self.options.drw_start

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        _, weighted = self.phase(progress)
        margins = self.margins * output.aux["scale"]
        logits = losses.target_margin(output.logits, batch.target, margins, scale=1.0)
        weight = self.weight if weighted else torch.ones_like(self.weight)
        return {"ldam": losses.weighted_cross_entropy(logits, batch.target, weight, normalise=True).sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """That of the sampler times the weights, where these are on when the stage ends; the margins come on top."""
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.epochs > self.options.drw_start else prior
