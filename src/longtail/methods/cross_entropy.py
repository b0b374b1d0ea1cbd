"""Plain training: the sum of the experts' cross-entropies."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from longtail.losses import expert_cross_entropy
from longtail.method import Method
from longtail.types import Batch, ModelOutput, Progress


class CrossEntropy(Method):
    """Plain cross-entropy; M experts are trained each with its own loss, and their logits are averaged."""

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}
