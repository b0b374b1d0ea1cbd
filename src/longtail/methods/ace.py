"""ACE: ally complementary experts (Cai et al. 2021). Re-derived from descriptions of the paper, whose code we have not
seen.

Expert 1 owns all classes, expert 2 all but the largest, expert 3 the smallest. Each learns from the images of the
classes that it owns alone: with C_m these classes, L_m is the mean over these images of CE(softmax of z over C_m) +
suppression_weight * mean over c not in C_m of z_c^2, and the loss is sum_m share_m * L_m, share_m being the share of
all training images that expert m sees. Only expert 1 trains the shared trunk (`model.detach_trunk`). The logit of a
class is the mean over the experts that own it, expert m's logits times |w_1| / |w_m|, the mean lengths of the
classifiers' rows of the classes that m owns.

Chosen here: the paper gives expert m the learning rate share_m * lr; here its loss has this weight, which is the same
up to weight decay and follows from the class counts. The sets are shares of the classes sorted by their images; the
size of the suppression, whether it is a mean over classes or a sum (which grows without bounds at usual rates, as there
are many) and the length of the training are not known to us.
What predictions assume is the mix of training, that of expert 1; no one mix is exact.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from longtail.losses import sample_cross_entropy, tail_groups
from longtail.method import HeldOut, Method, MethodOptions, Weight
from longtail.types import Batch, ModelOutput, Progress

LOW = -1e4  # the logit of what shall have no mass


class ACE(Method):
    """Experts for nested subsets of classes, silent on all others; only the first trains the shared trunk."""

    paper = 'Cai et al., "ACE: Ally Complementary Experts for Solving Long-Tailed Recognition in One-Shot", ICCV 2021, '
    paper += "arXiv:2108.02385 (re-derived)"
    needs = MappingProxyType({"num_experts": 3, "detach_trunk": ((False, True, True),), "head": "linear"})
    predicts_with_state = True
    owned: Tensor
    share: Tensor
    scale: Tensor

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            suppression_weight: of the mean squared logit of the classes that an expert does not own.
            medium_from, few_from: share of the classes, largest first, that the second and third expert do not own.
        """

        suppression_weight: Weight = 1.0
        medium_from: float = Field(0.35, ge=0, lt=1)
        few_from: float = Field(0.7, ge=0, lt=1)

    def __init__(self, options: Options, class_counts: Tensor, num_experts: int, feature_dim: int) -> None:
        super().__init__(options, class_counts, num_experts, feature_dim)
        owned = tail_groups(class_counts, (options.medium_from, options.few_from))
        share = (owned * class_counts).sum(1) / class_counts.sum().clamp_min(1)
        self.register_buffer("owned", owned, persistent=False)
        self.register_buffer("share", share.float(), persistent=False)
        self.register_buffer("scale", torch.ones(num_experts))

    def start(self, model: nn.Module) -> None:
        self._rescale(model)

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        own = self.owned.unsqueeze(1)  # (M, 1, C)
        each = sample_cross_entropy(output.logits.masked_fill(~own, LOW), batch.target)
        seen = self.owned.index_select(1, batch.target).to(each.dtype)
        weight = seen * (self.share.unsqueeze(1) / seen.sum(1, keepdim=True).clamp_min(1))
        terms = {"cross_entropy": (weight * each).sum()}
        if self.options.suppression_weight > 0:
            others = output.logits.to(each.dtype).masked_fill(own, 0.0).square().sum(2)
            others = others / (~own).sum(2).clamp_min(1)
            terms["suppression"] = self.options.suppression_weight * (weight * others).sum()
        return terms

    def after_step(self, model: nn.Module, progress: Progress) -> None:
        self._rescale(model)

    def finalize(self, model: nn.Module, held_out: HeldOut | None) -> str:
        self._rescale(model)
        return "the experts' logits are scaled by the lengths of the final classifiers"

    @torch.no_grad()
    def _rescale(self, model: nn.Module) -> None:
        lengths = model.get_parameter("heads.first.weight").float().norm(dim=2)
        first, own = ((self.owned * one).sum(1) for one in (lengths[:1], lengths))
        self.scale.copy_(first / own.clamp_min(1e-12))

    def logits(self, output: ModelOutput) -> Float[Tensor, "b c"]:
        owned = self.owned.to(output.logits.dtype) * self.scale.to(output.logits.dtype).unsqueeze(1)
        return (output.logits * owned.unsqueeze(1)).sum(0) / self.owned.sum(0)
