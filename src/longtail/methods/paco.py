"""PaCo: parametric contrastive learning (Cui et al. 2021), and GPaCo (Cui et al. 2023).

Two views of each image go through the network and through a copy of it that follows slowly (decay .999). Each view i,
projected, is an anchor. One softmax runs over its logits with the class prior of training, z + log pi, and over its
cosines / T with all keys: the other anchors, the copy's projections of both views, and those of earlier batches in a
queue. The loss is

    -( log p_y + alpha * sum_{k of class y} log p_k ) / ( 1 + alpha * number of keys of class y ),

where the anchor itself is no key. GPaCo leaves the anchors out of the keys (`anchors_as_keys = false`). The prediction
is the logits alone, without the prior.

Differs from the published code: the queue begins empty, not with random keys, and the copy sees both views in one pass,
so that its batch norm does too. The queue holds the batch's own keys beside earlier ones: 1,280 at batch 128 are the
published 1,024 and 2 * 128. That the projection's hidden layer is as wide as the features is not stated in the paper.
"""

from collections.abc import Mapping

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from longtail import losses
from longtail.method import Method, MethodOptions, Positive, Stage, Weight
from longtail.types import Batch, ModelOutput, Progress


class PaCo(Method):
    """Contrastive loss with learned class centres: one softmax over logits and similarities to momentum keys."""

    paper = (
        'Cui et al., "Parametric Contrastive Learning", ICCV 2021, arXiv:2107.12028; of GPaCo "Generalized '
    )
    paper += 'Parametric Contrastive Learning", TPAMI 2023, arXiv:2209.12400'
    views = ("train", "simclr")
    has_teacher = True
    prior: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: strength of the prior in the logits.
            key_weight: alpha, of each key of the anchor's class beside the class itself, which weighs 1.
            temperature: of the cosines.
            projection: values of a projected feature.
            queue: keys of the copy that are compared, those of the batch itself included.
            decay: weight that the copy keeps on its old value at each step.
            anchors_as_keys: False is GPaCo.
        """

        tau: Weight = 1.0
        key_weight: Weight = 0.01
        temperature: Positive = 0.05
        projection: int = Field(32, ge=1, le=65_536)
        queue: int = Field(1280, ge=1, le=2**24)
        decay: float = Field(0.999, ge=0, le=1)
        anchors_as_keys: bool = True

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.projection = losses.Projection(num_experts, feature_dim, feature_dim, options.projection)
        self.key_projection = losses.moving_average_copy(self.projection)
        self.queue = losses.KeyQueue(options.queue, options.projection, num_experts)
        counts = class_counts.clamp_min(1).float()
        self.register_buffer("prior", options.tau * (counts / counts.sum()).log(), persistent=False)

    def start(self, model: nn.Module) -> None:
        self.teacher = losses.moving_average_copy(model).train()

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def observe(self, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        self.queue.push(self.key_projection(batch.aux["teacher_features"]), batch.target.repeat(2))

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        o = self.options
        each = losses.parametric_contrastive(
            output.logits + self.prior, self.projection(output.features),
            batch.target.repeat(2), self.queue.keys, self.queue.key_target,
            key_weight=o.key_weight, temperature=o.temperature, among_anchors=o.anchors_as_keys,
        )  # fmt: skip
        return {"parametric_contrastive": each.sum()}

    def after_step(self, model: nn.Module, progress: Progress) -> None:
        losses.update_moving_average(self.teacher, model, self.options.decay)
        losses.update_moving_average(self.key_projection, self.projection, self.options.decay)

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return losses.logit_adjust(super().assumed_log_prior(stage), self.class_counts, tau=-self.options.tau)
