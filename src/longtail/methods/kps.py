"""Key-point sensitive loss, KPS (Li et al. 2022): cosine factors for frequent classes, margins for rare ones.

On a cosine classifier the loss is the cross-entropy of S (a_c cos_c - m_y [c = y]), with
a_c = log(50 n_c / n_min) / log 50, which is 1 for the smallest class, and m_c = max_margin a_r(c) / max a, where r(c)
is the class of opposite rank: the smallest class has the margin max_margin. S is 15, and from `amplify_start` on
("gradient amplification") S = 15 a_r(y), between 15 and 50, for each image.

The code reverses a list of classes and presumes that they are sorted by size; ranks are taken here. Predictions are
by plain cosines, as in the code, times the network's scale; they stand for balanced classes, as a_c takes the part of
the training mix. The published subset is drawn by another seed (666) than everybody's. The rate's steps are the
recipe's.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, WindowStart
from longtail.types import Batch, ModelOutput, Progress

RATIO = 50.0


class KeyPointSensitive(Method):
    """Cosine softmax with larger factors for frequent classes and margins for rare ones; later with class scales."""

    paper = 'Li et al., "Key Point Sensitive Loss for Long-Tailed Visual Recognition", IEEE TPAMI 2022'
    needs = MappingProxyType({"head": "cosine"})
    amplitude: Tensor
    opposite: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            scale: S at first, and the least of it later.
            max_scale: the most of it.
            max_margin: of the smallest class, in cosines.
            amplify_start: first epoch in which S depends on the class.
        """

        scale: Positive = 15.0
        max_scale: Positive = 50.0
        max_margin: float = Field(0.2, ge=0, le=2)
        amplify_start: WindowStart = 120

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        images = class_counts.clamp_min(1).float()
        amplitude = (RATIO * images / images.amin()).log() / math.log(RATIO)
        order = amplitude.argsort(descending=True, stable=True)
        opposite = torch.empty_like(amplitude).scatter(0, order, amplitude[order.flip(0)])
        self.register_buffer("amplitude", amplitude, persistent=False)
        self.register_buffer("opposite", opposite, persistent=False)

    def phase(self, progress: Progress) -> tuple[str, bool]:
        """The stage, and whether the scale depends on the class."""
        return progress.stage, progress.epoch >= self.options.amplify_start

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o, (_, amplified) = self.options, self.phase(progress)
        cosines = output.logits / output.aux["scale"] * self.amplitude
        factor = self.opposite[batch.target] if amplified else torch.ones_like(self.opposite[batch.target])
        scale = (o.scale * factor).clamp(o.scale, max(o.scale, o.max_scale))
        margins = o.max_margin * self.opposite / self.opposite.amax()
        logits = losses.target_margin(cosines, batch.target, margins, scale=scale)
        return {"key_points": losses.expert_cross_entropy(logits, batch.target).sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return torch.zeros_like(self.class_counts, dtype=torch.float64)
