"""MiSLAS (Zhong et al. 2021): features from mixup, then class scales with label-aware smoothing.

Stage one is mixup (alpha = 1). Stage two, on class-balanced samples, freezes the features while batch norm goes on
using and updating batch statistics ("shifted batch norm"), and trains a factor f_c of each class's logit, 1 at first,
and, at a small share of the rate, the same classifiers. Its loss is (1 - e_y) CE(y) + e_y mean_c CE(c) of f_c z_c, with

    e_c = tail + (head - tail) sin(pi/2 (n_c - n_min) / (n_max - n_min)),

so that labels of frequent classes are smoothed more. The paper spreads e_y over the other classes, its code over all,
as here. The share of the rate is not stated in the paper; 0.2 is that of the code's setting for CIFAR-100-LT. The
factors are shipped with the weights; each expert has its own.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from longtail import draws
from longtail.losses import sample_cross_entropy, soft_cross_entropy
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs
from longtail.types import Batch, ModelOutput, Progress


class MiSLAS(Method):
    """Mixup training, then class scales with balanced sampling and label smoothing, stronger for frequent classes."""

    paper = 'Zhong et al., "Improving Calibration for Long-Tailed Recognition", CVPR 2021, arXiv:2104.00466'
    mixes_images = True
    predicts_with_state = True
    smoothing: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            alpha: of mixup's Beta(alpha, alpha) in the first stage.
            smooth_head, smooth_tail: how much of the label the largest and the smallest class give away.
            classifier_epochs, classifier_peak_lr: the second stage.
            classifier_lr_share: share of its rate at which the classifiers themselves learn; 0 leaves them alone.
        """

        alpha: Positive = 1.0
        smooth_head: float = Field(0.4, ge=0, lt=1)
        smooth_tail: float = Field(0.1, ge=0, lt=1)
        classifier_epochs: StageEpochs = 10
        classifier_peak_lr: Positive = 0.1
        classifier_lr_share: float = Field(0.2, ge=0, le=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.mixing = draws.Beta(options.alpha)
        self.scale = nn.Parameter(torch.ones(num_experts, 1, len(class_counts)))
        images = class_counts.clamp_min(1).float()
        place = (images - images.amin()) / (images.amax() - images.amin()).clamp_min(1)
        rise = (math.pi / 2 * place).sin()
        smoothing = options.smooth_tail + (options.smooth_head - options.smooth_tail) * rise
        self.register_buffer("smoothing", smoothing, persistent=False)

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length, share = options.classifier_epochs, options.classifier_lr_share
        feature = Stage("feature", epochs - length)
        classifier = Stage(
            "classifier", length, trainable=("heads.*", "method.scale") if share else ("method.scale",),
            sampler="class_balanced", peak_lr=options.classifier_peak_lr, lr_shares=(("heads.*", share),),
            warmup_epochs=0, batch_norm="train",
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def prepare(self, batch: Batch, progress: Progress) -> Batch:
        if progress.stage == "classifier":
            return batch
        share, partner = self.mixing.share(batch, slot=0), draws.permutation(batch, slot=1)
        image = share * batch.image + (1 - share) * batch.image[partner]
        return replace(batch, image=image, aux={**batch.aux, "other": batch.target[partner], "share": share})

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        if progress.stage == "feature":
            mixed = soft_cross_entropy(output.logits, batch.target, batch.aux["other"], batch.aux["share"])
            return {"mixed": mixed.sum()}
        logits = self.expert_logits(output)
        smoothing = self.smoothing.to(logits.dtype)[batch.target]
        uniform = logits.logsumexp(-1) - logits.mean(-1)  # mean cross-entropy of all labels
        each = (1 - smoothing) * sample_cross_entropy(logits, batch.target) + smoothing * uniform
        return {"smoothed": each.mean(1).sum()}

    def expert_logits(self, output: ModelOutput) -> Float[Tensor, "m b c"]:
        return self.scale * output.logits
