"""Input mixup (Zhang et al. 2018), and Remix (Chou et al. 2020), which gives more of the label to the rarer class.

x = l x_a + (1 - l) x_b with l ~ Beta(alpha, alpha), one l for a batch and partners from a permutation of it, as in the
paper's code. The loss is l_y CE(a) + (1 - l_y) CE(b), summed over experts, with l_y = l. Remix: l_y = 0 where
n_a / n_b >= ratio and l < limit, 1 where n_a / n_b <= 1 / ratio and 1 - l < limit, else l.

Long-tail papers take alpha = 1 (the paper 0.2 to 1). The learning rate's steps are the recipe's.
"""

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import draws
from longtail.losses import soft_cross_entropy
from longtail.method import Method, MethodOptions, Positive
from longtail.types import Batch, ModelOutput, Progress


class Mixup(Method):
    """Cross-entropy on weighted means of two images, with their labels mixed in the same ratio."""

    paper = 'Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, arXiv:1710.09412'
    mixes_images = True

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            alpha: of Beta(alpha, alpha), from which the share of the first image is drawn; 1 is uniform.
            remix_ratio: from how many times as many images on a class counts as the larger one of Remix; 0 is mixup.
            remix_limit: the rarer class gets the whole label where the other's share is below it.
        """

        alpha: Positive = 1.0
        remix_ratio: float = Field(0.0, ge=0, le=1e6)
        remix_limit: float = Field(0.5, ge=0, le=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.share = draws.Beta(options.alpha)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        share, partner = self.share.share(batch, slot=0), draws.permutation(batch, slot=1)
        image = share * batch.image + (1 - share) * batch.image[partner]
        other = batch.target[partner]
        label = self._label_share(share.expand(len(other)), batch.target, other)
        return replace(batch, image=image, aux={**batch.aux, "other": other, "share": label})

    def _label_share(self, share: Tensor, target: Tensor, other: Tensor) -> Tensor:
        """(B,) share of the first label."""
        ratio, limit = self.options.remix_ratio, self.options.remix_limit
        if ratio == 0:
            return share
        images = self.class_counts.clamp_min(1).float()
        first, second = images[target], images[other]
        share = share.masked_fill((first >= ratio * second) & (share < limit), 0.0)
        return share.masked_fill((second >= ratio * first) & (1 - share < limit), 1.0)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        mixed = soft_cross_entropy(output.logits, batch.target, batch.aux["other"], batch.aux["share"])
        return {"mixed": mixed.sum()}
