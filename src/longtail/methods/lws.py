"""Learnable weight scaling, LWS (Kang et al. 2020): plain training, then one scale for each class's logit.

The first stage is cross-entropy on images as they come. The second freezes the network, classifiers and batch norm's
statistics included, and trains the factors f_c, 1 at first, by cross-entropy of f_c z_c on class-balanced samples,
under a cosine from `scale_peak_lr`. As in the code, the bias is scaled with the weights, and weight decay holds for the
factors too. The factors are shipped with the weights. Each expert has its own.

The paper has no CIFAR results. The first stage's rate is the recipe's.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.losses import expert_cross_entropy
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress


class LearnableWeightScaling(Method):
    """Plain training, then one learned scale for each class's logit, with class-balanced sampling."""

    paper = 'Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020, '
    paper += "arXiv:1910.09217"
    predicts_with_state = True

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            scale_epochs: length of the second stage, the run's last epochs.
            scale_peak_lr, scale_decay: where its cosine begins, and its weight decay.
        """

        scale_epochs: StageEpochs = 20
        scale_peak_lr: Positive = 0.1
        scale_decay: Weight = 5e-4

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.scale = nn.Parameter(torch.ones(num_experts, 1, len(class_counts)))

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.scale_epochs
        feature = Stage("feature", epochs - length)
        scale = Stage(
            "scale", length, trainable=("method.scale",), sampler="class_balanced",
            peak_lr=options.scale_peak_lr, warmup_epochs=0, weight_decay=options.scale_decay, batch_norm="eval",
        )  # fmt: skip
        return (feature, scale) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        logits = output.logits if progress.stage == "feature" else self.expert_logits(output)
        return {"cross_entropy": expert_cross_entropy(logits, batch.target).sum()}

    def expert_logits(self, output: ModelOutput) -> Float[Tensor, "m b c"]:
        return self.scale * output.logits
