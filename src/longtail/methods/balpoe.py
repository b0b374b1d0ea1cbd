"""BalPoE: balanced product of experts (Sanchez Aimar et al. 2023).

Expert m minimises CE(z_m + tau_m * log pi), pi the class prior of training, so that its bare logits are fit for classes
that come as pi^(1 - tau_m). The mean of the logits is the product of the experts; with a mean tau of 1 it is fit for
balanced classes. Images are mixed (mixup, one share for the batch), which calibrates the experts. The total is the mean
over experts.

tau is evenly spaced from tau_first to tau_last: published are (0, 1, 2) on CIFAR, (0, 1.25, 2.5) on ImageNet-LT and
(-1, 1, 3) on iNaturalist, for any number of experts.
"""

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import draws
from longtail.losses import expert_cross_entropy, soft_cross_entropy, spread_adjustments
from longtail.method import Method, MethodOptions, Stage
from longtail.types import Batch, ModelOutput, Progress


class BalPoE(Method):
    """Experts trained with different logit adjustments and mixup; their product is calibrated for balanced classes."""

    paper = 'Sanchez Aimar et al., "Balanced Product of Calibrated Experts for Long-Tailed Recognition", CVPR 2023, '
    paper += "arXiv:2206.05260"
    mixes_images = True
    adjustments: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau_first, tau_last: strength of the adjustment of the first and of the last expert.
            mixup_alpha: of the Beta distribution of the shares; 0 mixes nothing.
        """

        tau_first: float = Field(0.0, ge=-100, le=100)
        tau_last: float = Field(2.0, ge=-100, le=100)
        mixup_alpha: float = Field(0.4, ge=0, le=1000)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        added = spread_adjustments(class_counts, num_experts, options.tau_first, options.tau_last)
        self.register_buffer("adjustments", added, persistent=False)
        self.share = draws.Beta(options.mixup_alpha) if options.mixup_alpha else None

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        if self.share is None:
            return batch
        share, partner = self.share.share(batch), draws.permutation(batch, slot=1)
        image = share * batch.image + (1 - share) * batch.image[partner]
        return replace(batch, image=image, aux={"share": share, "partner": batch.target[partner]})

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        logits = output.logits + self.adjustments.unsqueeze(1)
        if self.share is None:
            return {"cross_entropy": expert_cross_entropy(logits, batch.target).mean()}
        mixed = soft_cross_entropy(logits, batch.target, batch.aux["partner"], batch.aux["share"])
        return {"cross_entropy": mixed.mean()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return super().assumed_log_prior(stage) - self.adjustments.mean(0)
