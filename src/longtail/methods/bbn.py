"""BBN: bilateral-branch network with cumulative learning (Zhou et al. 2020).

Each step draws a batch A of images and a batch B in which the rarest class comes most (p_c ~ 1 / n_c). Branch 1 makes
features h1 of A and branch 2 h2 of B. One classifier sees both, and its look moves from A to B in the course of
training:

    z = 2 (a W1 h1 + (1 - a) W2 h2) + b,    a = 1 - (t / T)^2,    loss = a CE(z, y_A) + (1 - a) CE(z, y_B).

At test both branches see the same image, with a = 1/2. The classifier's two halves are those of our two experts, whose
logits are added.

Differs: the published branches share all of ResNet-32 but its last block and own one block each, ours own the last
stage (five blocks); no key of a recipe makes them the same. Our branches look at A and at B, so that the batch norm of
each is of both; the published ones look at their own batch alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.losses import soft_cross_entropy
from longtail.method import Method, MethodOptions, Stage
from longtail.types import Batch, ModelOutput, Progress


class BBN(Method):
    """Two branches, with uniform and with rare-class sampling; the weight moves from the first to the second."""

    paper = 'Zhou et al., "BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual Recognition", '
    paper += "CVPR 2020, arXiv:1912.02413"
    needs = MappingProxyType({"num_experts": 2, "head": "linear"})
    mixes_images = True
    predicts_with_state = False
    share: Tensor

    def __init__(
        self, options: MethodOptions, class_counts: Tensor, num_experts: int, feature_dim: int
    ) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.register_buffer("share", torch.ones(()), persistent=False)

    @classmethod
    def stages(cls, options: MethodOptions, epochs: int) -> tuple[Stage, ...]:
        return (Stage("train", epochs, second_sampler="reverse"),)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def start_epoch(self, progress: Progress) -> None:
        self.share.fill_(1 - (progress.epoch / progress.epochs) ** 2)

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        assert batch.other is not None
        return replace(batch, image=torch.cat((batch.image, batch.other.image)))

    def mix(
        self, features: Float[Tensor, "m vb d"], batch: Batch, progress: Progress
    ) -> Float[Tensor, "m rows d"]:
        images = len(batch.target)
        return 2 * torch.stack((self.share * features[0, :images], (1 - self.share) * features[1, images:]))

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        assert batch.other is not None
        both = self.logits(output).unsqueeze(0)
        return {"cross_entropy": soft_cross_entropy(both, batch.target, batch.other.target, self.share).sum()}

    def logits(self, output: ModelOutput) -> Float[Tensor, "b c"]:
        return output.logits.sum(0)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """Balanced classes: the first branch is of n_c images, the second of 1 / n_c, and their logits are added."""
        return torch.zeros_like(super().assumed_log_prior(stage))
