"""SADE: self-supervised aggregation of diverse experts (Zhang et al. 2022).

Expert 1 minimises CE(z), expert 2 CE(z + log pi), expert 3 CE(z + log pi - tau * log pi'), where pi is the class prior
of training and pi' the same shares in reverse order of rank: the smallest class has that of the largest. The experts
are then fit for the training mix, for balanced classes, and for classes that come as pi'^tau. The losses are added.

The published code fixes tau at 2; its figure on iNaturalist is for 1. The paper also weighs the experts on each test
set, by how well two views of its images agree. That adapts to the test images, so it is left out here: the prediction
is the mean of the logits, with which the published code begins.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.losses import expert_cross_entropy
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class SADE(Method):
    """Three experts for three class priors: that of training, the uniform one, and the inverse of training.

    The mean of their logits is fit for a mix in between.
    """

    paper = 'Zhang et al., "Self-Supervised Aggregation of Diverse Experts for Test-Agnostic Long-Tailed '
    paper += 'Recognition", NeurIPS 2022, arXiv:2107.09249'
    needs = MappingProxyType({"num_experts": 3})
    adjustments: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: exponent of the reversed class prior that the third expert is fit for.
        """

        tau: Weight = 2.0

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        log_counts = class_counts.clamp_min(1).float().log()
        order = log_counts.argsort(stable=True)
        reverse = torch.empty_like(log_counts).index_copy_(0, order, log_counts[order.flip(0)])
        added = (torch.zeros_like(log_counts), log_counts, log_counts - options.tau * reverse)
        self.register_buffer("adjustments", torch.stack(added), persistent=False)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        each = expert_cross_entropy(output.logits + self.adjustments.unsqueeze(1), batch.target)
        return {"training_mix": each[0], "balanced": each[1], "reversed_mix": each[2]}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return super().assumed_log_prior(stage) - self.adjustments.mean(0)
