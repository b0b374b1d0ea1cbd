"""Balanced softmax (Ren et al. 2020), which is logit adjustment in the loss (Menon et al. 2021) at tau = 1."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from longtail.losses import logit_adjust, logit_adjusted_cross_entropy
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class BalancedSoftmax(Method):
    """Cross-entropy with tau * log(class count) added to the logits; plain logits are used for prediction."""

    paper = 'Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020, arXiv:2007.10740'

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: strength of the adjustment; 1 is balanced softmax, 0 plain cross-entropy.
        """

        tau: Weight = 1.0

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        losses = logit_adjusted_cross_entropy(
            output.logits, batch.target, self.class_counts, tau=self.options.tau
        )
        return {"balanced_softmax": losses.sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-self.options.tau)
