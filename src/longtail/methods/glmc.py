"""GLMC: global and local mixture consistency with cumulative learning (Du et al. 2023).

Each step draws a batch A of images and a batch B whose classes come as n_c^power. Two views of each are mixed with one
share l ~ Beta(1/2, 1/2): x1 = l A1 + (1 - l) B1 (mixup), and x2 = A2 with a box of B2 pasted in that covers about 1 -
l of it (CutMix). Two classifiers see the features of both, one of the method's own that is plain, and the network's,
whose labels weigh w_c ~ n_c^-1.2 (sum C), and which predicts. With a = 1 - (t / T)^2

    loss = a sum_v CE(plain(x_v), y) + (1 - a) sum_v CE_w(z(x_v), y) + weight D,
    D = - cos(q(p(h1)), stop p(h2)) - cos(q(p(h2)), stop p(h1)),

y being l of A's label and 1 - l of B's, p a projection and q a predictor (Chen and He, SimSiam, whose loss is D / 2).

As in the published code, l is not corrected where the box is clipped at the border. Not matched: its subset of the
images, and its network, which is called ResNet-32 and is four times as wide (`model.width_factor = 4.0`). Hidden
widths, batch norm of p and q over both views together, and the same l for both views are not stated in the paper. The
norm limit of the classifier that adds .4 points there is left out.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity

from longtail import draws, losses
from longtail.method import Method, MethodOptions, Positive, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class GLMC(Method):
    """Consistent features for a mixup and a CutMix image; the loss shifts from a plain to a rebalanced classifier."""

    paper = 'Du et al., "Global and Local Mixture Consistency Cumulative Learning for Long-tailed Visual '
    paper += 'Recognitions", CVPR 2023, arXiv:2305.08661'
    views = 2
    mixes_images = True
    needs_pixels = "pastes boxes of one image into another (CutMix)"
    share: Tensor
    weight: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            alpha: of the mixing share's Beta(alpha, alpha).
            power: exponent of the class sizes in the second batch; 1 draws as the images come, 0 balanced classes.
            label_power: exponent of one over the class size in the weights of labels.
            agreement_weight: of D.
            projection: width of the projection and the predictor, and of their hidden layers.
        """

        alpha: Positive = 0.5
        power: float = Field(1.0, ge=-10, le=10)
        label_power: float = Field(1.2, ge=0, le=10)
        agreement_weight: Weight = 4.0
        projection: int = Field(128, ge=1, le=65_536)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        width = options.projection
        self.plain = losses.Projection(num_experts, feature_dim, len(class_counts))
        self.projection = losses.Projection(num_experts, feature_dim, width, width, batch_norm=True)
        self.predictor = losses.Projection(num_experts, width, width, width, batch_norm=True)
        self.shares = draws.Beta(options.alpha)
        weight = losses.class_weights(class_counts, power=options.label_power)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("share", torch.ones(()), persistent=False)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        return (Stage("train", epochs, second_sampler="power", sampler_power=options.power),)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def start_epoch(self, progress: Progress) -> None:
        self.share.fill_(1 - (progress.epoch / progress.epochs) ** 2)

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        assert batch.other is not None
        share = self.shares.share(batch).to(batch.image.dtype)
        (first, second), (other, pasted) = batch.image.chunk(2), batch.other.image.chunk(2)
        mixed = share * first + (1 - share) * other
        cut = torch.where(self._box(batch, share), pasted, second)
        return replace(batch, image=torch.cat((mixed, cut)), aux={**batch.aux, "share": share})

    @staticmethod
    def _box(batch: Batch, share: Tensor) -> Bool[Tensor, "h w"]:
        """Pixels of a box at a random place, each side sqrt(1 - share) of the image's, clipped at the border."""
        centre, inside = draws.uniform(batch, 2, slot=1)[0], []
        for axis, size in enumerate(batch.image.shape[2:]):
            middle, half = (centre[axis] * size).floor(), (size * (1 - share).sqrt()).floor().div(2).floor()
            pixel = torch.arange(size, device=centre.device)
            inside.append((pixel >= middle - half) & (pixel < middle + half))
        return inside[0].unsqueeze(1) & inside[1]

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        assert batch.other is not None
        labels = batch.target.repeat(2), batch.other.target.repeat(2), batch.aux["share"]
        plain = losses.soft_cross_entropy(self.plain(output.features), *labels)
        weighted = losses.soft_cross_entropy(output.logits, *labels, weight=self.weight)
        return {  # 2: sums over the views, and over the directions between them
            "plain": 2 * self.share * plain.sum(),
            "weighted": 2 * (1 - self.share) * weighted.sum(),
            "agreement": 2 * self.options.agreement_weight * self._disagreement(output.features).sum(),
        }

    def _disagreement(self, features: Float[Tensor, "m vb d"]) -> Float[Tensor, " m"]:
        """From -1 to 1, -1 where each view's prediction has the direction of the other view's projection."""
        projected = self.projection(features)
        swapped = projected.detach().roll(projected.shape[1] // 2, 1)
        agreement: Tensor = cosine_similarity(self.predictor(projected), swapped, dim=-1).mean(1)
        return -agreement

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """The mean mix of both batches' labels, times the weights."""
        counts = self.class_counts.clamp_min(1).double()
        second = counts.pow(self.options.power)
        mix = (counts / counts.sum() + second / second.sum()) / 2
        return mix.log() + self.weight.double().log()
