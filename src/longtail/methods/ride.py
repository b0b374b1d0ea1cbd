"""RIDE: routing diverse distribution-aware experts (Wang et al. 2021), its first stage.

The sum over experts of LDAM (see there; class weights from `drw_start` on), minus diversity_weight * sum_m T^2 *
KL(softmax(z_mean / T_c) || softmax(z_m / T_c)): experts are pushed away from their mean, through which no gradient
flows. Before `drw_start` all temperatures are 1; from then on T_c grows with the class, T_c = C * pi_c * tilt + 1 -
tilt over its largest value, and T is their mean. pi is the class prior of training.

The second stage is left out: its router decides for each image how many experts to ask, which saves time and lowers the
accuracy (49.6 to 49.1 by the authors' own account). So is the distillation from six experts of some published figures.
Published settings have tilt 0.05, and a diversity weight of 0.45 on CIFAR, 0.2 on ImageNet-LT and iNaturalist.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Stage, Weight, WindowStart
from longtail.types import Batch, ModelOutput, Progress


class RIDE(Method):
    """Experts with LDAM and deferred class weights, and a diversity loss that is stronger for small classes."""

    paper = (
        'Wang et al., "Long-tailed Recognition by Routing Diverse Distribution-Aware Experts", ICLR 2021, '
    )
    paper += "arXiv:2010.01809"
    needs = MappingProxyType({"head": "cosine"})
    margins: Tensor
    weight: Tensor
    temperatures: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            max_margin: of the smallest class, in cosines.
            drw_start: first epoch with weights and temperatures of classes.
            beta: of the weights; 0 weighs all classes alike.
            diversity_weight: of the divergence from the mean.
            temperature_tilt: how much the temperatures differ; 0 leaves all at 1.
        """

        max_margin: float = Field(0.5, ge=0, le=2)
        drw_start: WindowStart = 160
        beta: float = Field(0.9999, ge=0, lt=1)
        diversity_weight: Weight = 0.45
        temperature_tilt: float = Field(0.05, ge=0, lt=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        margins = losses.ldam_margins(class_counts, largest=options.max_margin)
        weight = losses.class_weights(class_counts, rule="effective", beta=options.beta)
        counts = class_counts.clamp_min(1).float()
        tilted = options.temperature_tilt * counts / counts.mean() + 1 - options.temperature_tilt
        self.register_buffer("margins", margins, persistent=False)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("temperatures", tilted / tilted.amax(), persistent=False)

    def phase(self, progress: Progress) -> tuple[str, bool]:
        """The stage, and whether classes have weights and temperatures."""
        return progress.stage, progress.epoch >= self.options.drw_start

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, (_, weighted) = self.options, self.phase(progress)
        margins = self.margins * output.aux["scale"]
        logits = losses.target_margin(output.logits, batch.target, margins, scale=1.0)
        weight = self.weight if weighted else torch.ones_like(self.weight)
        terms = {"ldam": losses.weighted_cross_entropy(logits, batch.target, weight, normalise=True).sum()}
        if o.diversity_weight > 0 and self.num_experts > 1:
            temperature = self.temperatures if weighted else torch.ones_like(self.temperatures)
            apart = losses.pairwise_kl(
                output.logits, form="to_mean", temperature=temperature, detach_teacher=True
            )
            terms["diversity"] = -o.diversity_weight * temperature.mean().square() * apart
        return terms

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        """That of the sampler times the weights, where these are on when the stage ends; the margins come on top."""
        prior = super().assumed_log_prior(stage)
        return prior + self.weight.double().log() if stage.epochs > self.options.drw_start else prior
