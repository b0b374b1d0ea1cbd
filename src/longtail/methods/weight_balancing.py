"""Weight balancing, WD and WB (Alshammari et al. 2022): strong weight decay, then balanced training of the classifiers.

Stage one is cross-entropy with a weight decay ten times the usual: the recipe's `optim.weight_decay`, 5e-3. Stage two
freezes the features and goes on with the same classifiers by class-balanced cross-entropy (beta = 0.9999, divided by
the sum of the drawn weights) with weight decay `classifier_decay`, 0.1. Where the classifiers are `bounded`, each of
its steps ends with every class's weights projected onto the ball of a radius: min + max_norm (max - min) of the rows'
lengths at the end of stage one ("MaxNorm"). Each expert has its own radius; biases are left alone.

The code's network is a ResNet-34 for small images (`resnet34-small`), not the ResNet-32 of the others in the table,
and its first stage has 200 epochs, in its demonstration 320.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, StageEpochs, Weight
from longtail.types import Batch, ModelOutput, Progress


class WeightBalancing(Method):
    """Plain training with strong weight decay, then balanced training of classifiers with bounded weight norms."""

    paper = 'Alshammari et al., "Long-Tailed Recognition via Weight Balancing", CVPR 2022, arXiv:2203.14197'
    needs = MappingProxyType({"head": "linear"})
    weight: Tensor
    radius: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            classifier_epochs, classifier_peak_lr, classifier_decay: the second stage.
            beta: of its weights of classes.
            max_norm: where between the shortest and the longest row the bound lies; 1 bounds at the longest, and
                `bounded` off leaves it out.
            bounded: whether rows have a largest length in the second stage.
        """

        classifier_epochs: StageEpochs = 10
        classifier_peak_lr: Positive = 0.01
        classifier_decay: Weight = 0.1
        beta: float = Field(0.9999, ge=0, lt=1)
        max_norm: float = Field(0.1, ge=0, le=1)
        bounded: bool = True

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        weight = losses.class_weights(class_counts, rule="effective", beta=options.beta)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("radius", torch.full((num_experts, 1, 1), torch.inf))

    @classmethod
    def stages(cls, options: Options, epochs: int) -> tuple[Stage, ...]:
        length = options.classifier_epochs
        feature = Stage("feature", epochs - length)
        classifier = Stage(
            "classifier", length, trainable=("heads.*",), peak_lr=options.classifier_peak_lr, warmup_epochs=0,
            weight_decay=options.classifier_decay, batch_norm="eval",
        )  # fmt: skip
        return (feature, classifier) if length else (feature,)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        logits, target = output.logits, batch.target
        if progress.stage == "feature":
            return {"cross_entropy": losses.expert_cross_entropy(logits, target).sum()}
        balanced = losses.weighted_cross_entropy(logits, target, self.weight, normalise=True)
        return {"class_balanced": balanced.sum()}

    def after_step(self, model: nn.Module, progress: Progress) -> None:
        weight = model.get_parameter("heads.first.weight")
        length = torch.linalg.vector_norm(weight, dim=-1, keepdim=True)
        if progress.stage == "feature":
            shortest, longest = length.amin(1, keepdim=True), length.amax(1, keepdim=True)
            self.radius.copy_(torch.lerp(shortest, longest, self.options.max_norm))
        elif self.options.bounded:
            weight.mul_((self.radius / length.clamp_min(torch.finfo(length.dtype).tiny)).clamp_max(1))

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.name == "classifier" else prior
