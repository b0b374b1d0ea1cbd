"""Head-to-tail fusion, H2T (Li et al. 2024): classifiers trained on features fused with channels of other images.

Stage one is plain training on mixed images (mixup, alpha = 1). Stage two goes on with the same classifiers alone. Its
images x come from class-balanced sampling, and with each batch comes another as large, x', drawn as images come. A
share rho of the channels of x's last map, drawn again for each batch and the same for all of its images, is replaced by
those of x'; the label stays y. As pooling works channel by channel, h <- m h + (1 - m) h' on the pooled feature is the
same. Batch norm goes on using and updating batch statistics. rho is 0.3 in the paper, 0.25 in a setting of the code.

The code sends x and x' through the network one after the other; here they go through it together, so that batch norm
sees both at once. The published 51.4 of later tables is with a stronger network than the single one's 47.8.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import draws
from longtail.losses import expert_cross_entropy, soft_cross_entropy
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress


class HeadToTail(Method):
    """Mixup training, then classifiers on class-balanced images with some feature channels from other images."""

    paper = 'Li et al., "Feature Fusion from Head to Tail for Long-Tailed Visual Recognition", AAAI 2024, '
    paper += "arXiv:2306.06963"
    mixes_images = True
    mixes_features = True

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            alpha: of mixup's Beta(alpha, alpha) in the first stage.
            share: of the channels that are replaced in the second, rho.
            classifier_epochs, classifier_peak_lr, classifier_decay: the second stage.
        """

        alpha: Positive = 1.0
        share: float = Field(0.3, ge=0, le=1)
        classifier_epochs: StageEpochs = 10
        classifier_peak_lr: Positive = 0.02
        classifier_decay: Weight = 5e-4

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.mixing = draws.Beta(options.alpha)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        feature = Stage("feature", epochs - length)
        classifier = Stage(
            "classifier", length, trainable=("heads.*",), sampler="class_balanced", second_sampler="instance",
            peak_lr=options.classifier_peak_lr, warmup_epochs=0,
            weight_decay=options.classifier_decay, batch_norm="train",
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        if progress.stage == "classifier":
            assert batch.other is not None  # the stage draws one
            return replace(batch, image=torch.cat((batch.image, batch.other.image)))
        share, partner = self.mixing.share(batch, slot=0), draws.permutation(batch, slot=1)
        image = share * batch.image + (1 - share) * batch.image[partner]
        return replace(batch, image=image, aux={**batch.aux, "other": batch.target[partner], "share": share})

    def mix(
        self, features: Float[Tensor, "m vb d"], batch: Batch, progress: Progress
    ) -> Float[Tensor, "m b d"]:
        if progress.stage != "classifier":
            return features
        own, other = features.chunk(2, dim=1)
        place = draws.uniform(batch, features.shape[2], slot=2)[0].argsort()
        return torch.where(place < round(self.options.share * len(place)), other, own)

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        if progress.stage == "classifier":
            return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}
        mixed = soft_cross_entropy(output.logits, batch.target, batch.aux["other"], batch.aux["share"])
        return {"mixed": mixed.sum()}
