"""Post-hoc logit adjustment (Menon et al. 2021): plain training, then the log class prior is subtracted from logits."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from longtail.losses import expert_cross_entropy, logit_adjust
from longtail.method import Method, MethodOptions, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class LogitAdjustment(Method):
    """Cross-entropy in training; for prediction, tau * log(class count) is subtracted from the mean logits."""

    paper = 'Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, arXiv:2007.07314'

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: strength of the adjustment; 1 removes the training prior, 0 leaves the logits alone.
        """

        tau: Weight = 1.0

    predicts_with_state = False  # class counts alone

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}

    def expert_logits(self, output: ModelOutput) -> Float[Tensor, "m b c"]:
        return logit_adjust(output.logits, self.class_counts, tau=-self.options.tau)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-self.options.tau)
