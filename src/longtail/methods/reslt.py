"""ResLT: residual learning for long-tailed recognition (Cui et al. 2022).

One network whose last map goes through three batch norms and one shared classifier. The first branch sees all images,
the second those of all but the largest classes, the third those of the smallest classes. With CE_b the cross-entropy of
branch b summed over the images that it sees, over all classes, the loss is beta * (CE_1 + CE_2 + CE_3) / (images seen
by all three together) + (1 - beta) * CE(z_1 + z_2 + z_3). The prediction is the sum of the logits: branches two and
three add what the first lacks.

The published code names the classes by their index, 35 to 99 and 70 to 99 of CIFAR-100; here they are the same shares
of the classes, sorted by their images. Published beta is 0.995, 0.99 and 0.72 at imbalance factors 100, 50 and 10.
Neither the sum nor a branch is fit for one class prior; predictions assume that of training, as the first branch
does.
"""

from collections.abc import Mapping
from types import MappingProxyType

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from longtail.losses import expert_cross_entropy, sample_cross_entropy, tail_groups
from longtail.method import Method, MethodOptions
from longtail.types import Batch, ModelOutput, Progress


class ResLT(Method):
    """A branch for all classes plus two residual branches, for the smaller and for the smallest classes."""

    paper = 'Cui et al., "ResLT: Residual Learning for Long-Tailed Recognition", TPAMI 2022, arXiv:2101.10633'
    needs = MappingProxyType(
        {
            "num_experts": 3,
            "shared_stages": (3, 4),  # all of a network for small images
            "branch_norm": True,
            "shared_head": True,
            "gates": False,
            "head": "linear",
        }
    )
    predicts_with_state = False
    seen: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            beta: share of the branches' own losses; the sum of the logits has the rest.
            medium_from, few_from: share of the classes, largest first, that the second and the third branch do not see.
        """

        beta: float = Field(0.995, ge=0, le=1)
        medium_from: float = Field(0.35, ge=0, lt=1)
        few_from: float = Field(0.7, ge=0, lt=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        groups = tail_groups(class_counts, (options.medium_from, options.few_from))
        self.register_buffer("seen", groups, persistent=False)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        beta, each = self.options.beta, sample_cross_entropy(output.logits, batch.target)
        seen = self.seen.index_select(1, batch.target).to(each.dtype)
        fused = expert_cross_entropy(output.logits.sum(0, keepdim=True), batch.target)
        return {"branches": beta * (seen * each).sum() / seen.sum(), "fused": (1 - beta) * fused.sum()}

    def logits(self, output: ModelOutput) -> Float[Tensor, "b c"]:
        return output.logits.sum(0)
