"""Balanced softmax (Ren et al. 2020), which is logit adjustment in the loss (Menon et al. 2021) at tau = 1."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from longtail.losses import logit_adjust, logit_adjusted_cross_entropy
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class BalancedSoftmax(Method):
    """Cross-entropy of logits raised by tau * log(class count): the bare logits are fit for balanced classes."""

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: strength of the adjustment; 1 is balanced softmax, 0 plain cross-entropy.
        """

        tau: Weight = 1.0

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.tau = options.tau

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        losses = logit_adjusted_cross_entropy(output.logits, batch.target, self.class_counts, tau=self.tau)
        return {"balanced_softmax": losses.sum()}

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-self.tau)
