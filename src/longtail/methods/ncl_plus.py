"""NCL++: nested collaborative learning within and between networks (Tan et al. 2024).

Each image is augmented four times, the four views go through M complete networks (published: two) as one batch. With
logits adjusted by the class counts, z~ = z + log n, and p their softmax, the loss is the mean over all views of CE(z~)
+ hard_weight * CE(z~ * mask), summed over networks, plus two divergences, each summed over ordered pairs and divided by
half the number of such pairs, times distillation_weight: between the views of an image in each network, and between the
networks in each view. Both are counted twice, over all classes and over those of the mask alone: sum over c in mask of
p_c (log p_c - log q_c), not normalised again.

As in the published code: the mask (see NCL) is that of each view by the first network's bare logits; between the views
of an image that of the first view serves all; gradients flow through teachers and learners.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class NCLPlus(Method):
    """Several networks with mutual distillation, and with self-distillation between four views of an image."""

    paper = 'Tan et al., "NCL++: Nested Collaborative Learning for Long-Tailed Visual Recognition", '
    paper += "Pattern Recognition 2024, arXiv:2306.16709"
    views = 4

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            hard_share: how many of the classes the second parts look at, the label among them.
            hard_weight: of the cross-entropy over them.
            distillation_weight: of the divergences within and between networks.
        """

        hard_share: float = Field(0.3, gt=0, le=1)
        hard_weight: Weight = 1.0
        distillation_weight: Weight = 0.6

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, target = self.options, batch.target.repeat(self.num_views)
        adjusted = losses.logit_adjust(output.logits, self.class_counts)
        mask = self._mask(output.logits[0].detach(), target)
        terms = {"cross_entropy": losses.expert_cross_entropy(adjusted, target).sum()}
        if o.hard_weight > 0:
            hard = losses.expert_cross_entropy(adjusted * mask, target)
            terms["hard_cross_entropy"] = o.hard_weight * hard.sum()
        if o.distillation_weight > 0:
            views = torch.stack(adjusted.chunk(self.num_views, 1)).flatten(1, 2)  # (V, M*B, C)
            first = mask[: len(batch.target)].repeat(self.num_experts, 1)
            within = self.num_experts * self._divergence(views, first)
            terms["within_networks"] = o.distillation_weight * within
            if self.num_experts > 1:
                terms["between_networks"] = o.distillation_weight * self._divergence(adjusted, mask)
        return terms

    def _divergence(self, logits: Tensor, mask: Tensor) -> Float[Tensor, ""]:
        pairs = len(logits) * (len(logits) - 1) / 2
        return (losses.pairwise_kl(logits) + losses.pairwise_kl(logits, mask=mask)) / pairs

    def _mask(self, logits: Tensor, target: Tensor) -> Bool[Tensor, "vb c"]:
        number = max(1, round(self.options.hard_share * logits.shape[1]))
        chosen = logits.scatter(1, target.unsqueeze(1), torch.inf).topk(number, 1).indices
        return torch.zeros_like(logits, dtype=torch.bool).scatter(1, chosen, True)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return losses.logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-1.0)
