"""DBN-Mix: a network of two branches on mixed batches (Baik et al. 2024).

Each step draws a batch A of images and a batch B of balanced classes. With lambda ~ Beta(1, 1), taken as at least 1/2,
branch 1 sees lambda A + (1 - lambda) B and branch 2 sees (1 - lambda) A + lambda B, labels mixed alike. In training
the logit of class c is divided by a temperature of its own,

    (max phi / phi_c)^(1/eta),    phi_c = epsilon C n_c / max n + 1 - epsilon,

so that rare classes need larger logits. With p the softmax of these and t the mixed labels, the loss of a branch is
the mean of -sum_c t_c log p_c + (1 - t_c) log(1 - p_c), and the total the mean over both. The prediction is the mean
of the branches' logits, without temperatures.

The published network is ours with two experts, two shared stages and linear classifiers; it has a block more that is
never used. Differs: A is not permuted, since the two batches are drawn independently of each other, and both branches
look at both mixtures, so that the batch norm of each is of both. That lambda is drawn once a batch, and not once an
image, is not stated in the paper.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import draws, losses
from longtail.method import Method, MethodOptions, Positive, Stage
from longtail.types import Batch, ModelOutput, Progress


class DBNMix(Method):
    """Two branches on mixup of uniformly and class-balanced sampled images, each with more of one of the two.

    Rare classes have a temperature of their own in training.
    """

    paper = 'Baik et al., "DBN-Mix: Training Dual Branch Network Using Bilateral Mixup Augmentation for Long-Tailed '
    paper += 'Visual Recognition", Pattern Recognition 2024, arXiv:2207.02173'
    needs = MappingProxyType({"num_experts": 2, "head": "linear"})
    mixes_images = True
    temperature: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            alpha: of the mixing share's Beta(alpha, alpha).
            epsilon: how much of phi is the class's size; 0 gives all classes the temperature 1.
            eta: root of the temperature; the larger, the closer all are to 1.
        """

        alpha: Positive = 1.0
        epsilon: float = Field(0.6, ge=0, le=0.999)
        eta: Positive = 7.0

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.shares = draws.Beta(options.alpha)
        size = class_counts.float() * len(class_counts) / class_counts.amax()
        phi = options.epsilon * size + 1 - options.epsilon
        self.register_buffer("temperature", (phi.amax() / phi) ** (1 / options.eta), persistent=False)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        return (Stage("train", epochs, second_sampler="class_balanced"),)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        assert batch.other is not None
        drawn = self.shares.share(batch).to(batch.image.dtype)
        share = torch.maximum(drawn, 1 - drawn)
        more, less = (
            batch.image.lerp(batch.other.image, 1 - share),
            batch.other.image.lerp(batch.image, 1 - share),
        )
        return replace(batch, image=torch.cat((more, less)), aux={**batch.aux, "share": share})

    def mix(
        self, features: Float[Tensor, "m vb d"], batch: Batch, progress: Progress
    ) -> Float[Tensor, "m rows d"]:
        images = len(batch.target)
        return torch.stack((features[0, :images], features[1, images:]))

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        assert batch.other is not None
        logits, labels, share = (
            output.logits / self.temperature,
            (batch.target, batch.other.target),
            batch.aux["share"],
        )
        first = losses.binary_soft_cross_entropy(logits[:1], *labels, share)
        second = losses.binary_soft_cross_entropy(logits[1:], *labels, 1 - share)
        return {"instances": first.sum() / 2, "balanced": second.sum() / 2}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """The mean over the branches of the log mix of labels that each is trained with."""
        counts, share = self.class_counts.clamp_min(1).double(), self.shares.quantiles.double()
        even, drawn = 1 / len(counts), counts / counts.sum()
        mean = torch.maximum(share, 1 - share).mean()
        mixes = torch.stack((mean * drawn + (1 - mean) * even, (1 - mean) * drawn + mean * even))
        return mixes.log().mean(0)
