"""Manifold mixup (Verma et al. 2019) of the pooled features, as in the study of tricks by Zhang et al. (AAAI 2021).

h = l h_a + (1 - l) h_b with l ~ Beta(alpha, alpha), one l for a batch and partners from a permutation of it; the loss
is l CE(a) + (1 - l) CE(b), summed over experts. The paper draws for each batch at which of the first layers to mix, the
input among them; the study finds the pooled feature, just before the classifier, as good for long tails, and it
alone is built: `mixup` is the input. The learning rate's steps are the recipe's.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from longtail import draws
from longtail.losses import soft_cross_entropy
from longtail.method import Method, MethodOptions, Positive
from longtail.types import Batch, ModelOutput, Progress


class ManifoldMixup(Method):
    """Cross-entropy on mixup of the features of two images, with their labels mixed in the same ratio."""

    paper = (
        'Verma et al., "Manifold Mixup: Better Representations by Interpolating Hidden States", ICML 2019, '
    )
    paper += "arXiv:1806.05236"
    mixes_features = True

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            alpha: of Beta(alpha, alpha), from which the share of the first image is drawn; 1 is uniform.
        """

        alpha: Positive = 1.0

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.share = draws.Beta(options.alpha)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def mix(
        self, features: Float[Tensor, "m b d"], batch: Batch, progress: Progress
    ) -> Float[Tensor, "m b d"]:
        share, partner = self._drawn(batch)
        return share.to(features.dtype) * features + (1 - share).to(features.dtype) * features[:, partner]

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        share, partner = self._drawn(batch)
        return {"mixed": soft_cross_entropy(output.logits, batch.target, batch.target[partner], share).sum()}

    def _drawn(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The share of each image's own feature, and each image's partner: the same whenever asked."""
        return self.share.share(batch, slot=0), draws.permutation(batch, slot=1)
