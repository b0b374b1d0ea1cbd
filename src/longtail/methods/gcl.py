"""Gaussian clouded logits, GCL (Li et al. 2022): noise lowers the cosines of rare classes, so that these spread out.

u_c = cos_c - noise * |e_c| k_c with k_c = (log n_max - log n_c) / max k and e_c ~ N(0, 1/3), cut at +-1, drawn for each
image and class (and expert). Stage one: cross-entropy of s u (s is the recipe's `model.cosine_scale`, 30) on mixed
images (mixup, alpha = 1). Stage two, features and batch norm frozen, goes on with the same classifiers on
balanced samples, mixed too: scale 20, a margin of 0.1 off the target, and focal weights without gradient, under a
cosine from 0.002.

The paper lowers the target alone and draws stage two by the effective number of images; the code lowers all classes,
as does this, and draws classes alike, the default here (`classifier_sampler`). A second form in the code, noise
without the absolute value, is left out. The noise takes the part of the training mix, so that plain cosines, by which
predictions go, are taken to stand for balanced classes.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import draws, losses
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress

NOISE_SLOT = 2


class GaussianClouded(Method):
    """Cosine classifier with noise that lowers the logits of rare classes, on mixup; then a balanced classifier."""

    paper = (
        'Li, Cheung and Lu, "Long-tailed Visual Recognition via Gaussian Clouded Logit Adjustment", CVPR 2022'
    )
    mixes_images = True
    needs = MappingProxyType({"head": "cosine"})
    spread: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            noise: the most that noise takes off a cosine.
            alpha: of mixup's Beta(alpha, alpha), in both stages.
            classifier_epochs, classifier_peak_lr, classifier_sampler: the second stage.
            classifier_scale, margin, gamma: of its loss: what cosines are multiplied by, what is taken off the
                target's cosine, and of the focal weights.
        """

        noise: Weight = 0.5
        alpha: Positive = 1.0
        classifier_epochs: StageEpochs = 30
        classifier_peak_lr: Positive = 0.002
        classifier_sampler: Literal["class_balanced", "effective"] = "class_balanced"
        classifier_scale: Positive = 20.0
        margin: float = Field(0.1, ge=0, le=2)
        gamma: float = Field(1.0, ge=0, le=100)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.share = draws.Beta(options.alpha)
        images = class_counts.clamp_min(1).float().log()
        apart = images.amax() - images
        spread = apart / apart.amax().clamp_min(torch.finfo(apart.dtype).tiny)
        self.register_buffer("spread", spread, persistent=False)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        feature = Stage("feature", epochs - length)
        classifier = Stage(
            "classifier", length, trainable=("heads.*",), sampler=options.classifier_sampler,
            peak_lr=options.classifier_peak_lr, warmup_epochs=0, batch_norm="eval",
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        share, partner = self.share.share(batch, slot=0), draws.permutation(batch, slot=1)
        image = share * batch.image + (1 - share) * batch.image[partner]
        return replace(batch, image=image, aux={**batch.aux, "other": batch.target[partner], "share": share})

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        cosines, share = output.logits / output.aux["scale"], batch.aux["share"]
        experts, _, classes = cosines.shape
        noise = draws.normal(batch, experts * classes, slot=NOISE_SLOT).view(-1, experts, classes)
        lowered = (noise / 3).clamp(-1, 1).abs().transpose(0, 1) * self.spread
        clouded = cosines - self.options.noise * lowered
        second = progress.stage == "classifier"
        scale = self.options.classifier_scale if second else output.aux["scale"]
        first, other = (
            self._each(clouded, label, scale, second).mean(1) for label in (batch.target, batch.aux["other"])
        )
        return {"clouded": (share * first + (1 - share) * other).sum()}

    def _each(self, cosines: Tensor, label: Tensor, scale: Tensor | float, second: bool) -> Tensor:
        """(M, B) losses of the images for one of their labels."""
        if not second:
            return losses.sample_cross_entropy(scale * cosines, label)
        margins = torch.full_like(self.spread, self.options.margin)
        each = losses.sample_cross_entropy(
            scale * losses.target_margin(cosines, label, margins, scale=1.0), label
        )
        return losses.focal_factor(each.detach(), gamma=self.options.gamma) * each

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return torch.zeros_like(self.class_counts, dtype=torch.float64)
