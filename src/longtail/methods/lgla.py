"""LGLA: local and global logit adjustments (Tao et al. 2023).

Classes are sorted by their images and cut into M - 1 groups of about equal numbers of images. Expert m < M minimises
CE(z_m + log v_m), v_m being the share of the class in training for the classes of group m and the largest share of all
for the others: it is fit for its own group and holds back elsewhere. The last expert minimises CE(z_M + tau * log pi),
tau > 1, which favours the tail. Each image of each expert counts 1 + max(0, theta - mean theta), theta = arccos of the
cosine of its label, mean over the images of the batch whose class is in the same group; no gradient goes through that
weight. The losses are added.

The published code cuts where the running number of images, from the smallest class on, exceeds its part; here the cuts
are those that come closest to equal parts, and no group is empty. With two experts it sets tau to 1; here tau is the
recipe's.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.losses import equal_mass_groups, sample_cross_entropy
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class LGLA(Method):
    """An expert for each group of classes and one for the inverse class prior; hard images have more weight."""

    paper = 'Tao et al., "Local and Global Logit Adjustments for Long-Tailed Learning", ICCV 2023'
    needs = MappingProxyType({"head": "cosine"})
    adjustments: Tensor
    group: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: strength of the last expert's adjustment.
            angular_weight: how much more images count whose angle is above their group's mean; 0: all count alike.
        """

        tau: Weight = 2.5
        angular_weight: Weight = 1.0

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        groups = equal_mass_groups(class_counts, min(max(1, num_experts - 1), len(class_counts)))
        log_counts = class_counts.clamp_min(1).float().log()
        local = torch.where(groups, log_counts, log_counts.amax())
        local = local[torch.arange(num_experts - 1) % len(groups)]
        added = torch.cat((local, options.tau * log_counts.unsqueeze(0)))
        self.register_buffer("adjustments", added, persistent=False)
        self.register_buffer("group", groups.int().argmax(0), persistent=False)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        each = sample_cross_entropy(output.logits + self.adjustments.unsqueeze(1), batch.target)
        if self.options.angular_weight > 0:
            each = each * self._weights(output, batch.target)
        total = each.mean(1)
        terms = {"global_adjustment": total[-1]}
        return terms if self.num_experts == 1 else {"local_adjustment": total[:-1].sum(), **terms}

    @torch.no_grad()
    def _weights(self, output: ModelOutput, target: Tensor) -> Float[Tensor, "m b"]:
        index = target.expand(self.num_experts, -1).unsqueeze(2)
        cosines = output.logits.gather(2, index).squeeze(2).float() / output.aux["scale"].float()
        angles = cosines.clamp(-1, 1).acos()
        group = self.group.index_select(0, target)
        same = (group.unsqueeze(1) == group).to(angles.dtype)
        above = angles - angles @ same / same.sum(0)
        more: Tensor = self.options.angular_weight * above.clamp_min(0)
        return 1 + more

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return super().assumed_log_prior(stage) - self.adjustments.mean(0)
