"""Focal loss (Lin et al. 2017): (1 - p_y)^gamma * CE, summed over experts.

The paper is of detectors (gamma = 2, a sigmoid for each class); long-tail code takes the softmax and gamma = 1, as we
do. Some of it stops the gradient of (1 - p_y) (KPS, GCL); the paper does not, nor do we. The steps of the rate are the
recipe's.
"""

from collections.abc import Mapping

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail.losses import focal_loss
from longtail.method import Method, MethodOptions
from longtail.types import Batch, ModelOutput, Progress


class Focal(Method):
    """Cross-entropy weighted by (1 - p)^gamma, so that images that are already classified well count less."""

    paper = 'Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002'

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            gamma: how much less; 0 is plain cross-entropy.
        """

        gamma: float = Field(1.0, ge=0, le=100)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        return {"focal": focal_loss(output.logits, batch.target, gamma=self.options.gamma).sum()}
