"""BCL: balanced contrastive learning (Zhu et al. 2022).

Three views of each image. The first is classified with logit adjustment, weight 2. The other two, projected, are
contrasted with each other and with one learned centre for each class, weight .6: for anchor i with positives P(i), the
others of its class among the 2B projections and C centres,

    -1/|P(i)| sum_{p in P(i)} log( exp(s_ip) / sum_{k != i} exp(s_ik) / n_k ),    s = cosine / T,

n_k being the number of keys of k's class other than i, so that in the denominator each class counts once. The centres
are a projection, of its own, of the classifier's weights. Both projections are D - 512 - 128 with batch norm. All three
views go through the network in one pass.

The published code is for ImageNet-LT and iNaturalist (weights 1 and .35, T = .07, 1,024 values), none is for CIFAR. The
defaults are those of a public re-implementation on CIFAR-100-LT, not stated in the paper. Batch norm of the projections
always takes the statistics of the batch; nothing of them is used in prediction.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class BCL(Method):
    """Logit adjustment plus a class-balanced supervised contrastive loss between two more views and class centres."""

    paper = 'Zhu et al., "Balanced Contrastive Learning for Long-Tailed Visual Recognition", CVPR 2022, '
    paper += "arXiv:2207.09052"
    views = ("train", "simclr_blur", "simclr_blur")

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: strength of the logit adjustment.
            classification_weight, contrastive_weight: of the two terms.
            temperature: of the cosines.
            hidden, projection: widths of the projections' layers.
        """

        tau: Weight = 1.0
        classification_weight: Positive = 2.0
        contrastive_weight: Weight = 0.6
        temperature: Positive = 0.1
        hidden: int = Field(512, ge=1, le=65_536)
        projection: int = Field(128, ge=1, le=65_536)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        widths = feature_dim, options.hidden, options.projection
        self.projection = losses.Projection(num_experts, *widths, batch_norm=True)
        self.centres = losses.Projection(num_experts, *widths, batch_norm=True)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, target, images = self.options, batch.target, len(batch.target)
        classes = torch.arange(len(self.class_counts), device=target.device)
        adjusted = losses.logit_adjusted_cross_entropy(
            output.logits[:, :images], target, self.class_counts, tau=o.tau
        )
        contrast = losses.supervised_contrastive(
            self.projection(output.features[:, images:]), target.repeat(2),
            self.centres(output.aux["classifier"]), classes,
            temperature=o.temperature, denominators="class_averaged",
        )  # fmt: skip
        return {
            "logit_adjustment": o.classification_weight * adjusted.sum(),
            "contrastive": o.contrastive_weight * contrast.sum(),
        }

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return losses.logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-self.options.tau)
