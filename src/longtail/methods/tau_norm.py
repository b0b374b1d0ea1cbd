"""Tau-normalisation (Kang et al. 2020): after plain training each class's weights become w_c / |w_c|^tau, no bias.

Training is cross-entropy. At the end the rows of the linear classifiers are divided by a power of their length and the
biases are set to zero. tau is the recipe's; where the recipe holds validation images out (`data.validation`) it is the
one of 0, 0.1, ..., 2 with the best mean accuracy of classes on them, the smallest of equal ones, and the run says
which. The paper chooses by validation images too, its code for iNaturalist by the test images. All experts share tau.

Scores during training are those of plain training. The normalised logits are no logarithm of a probability; they are
taken to stand for balanced classes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from longtail.losses import expert_cross_entropy
from longtail.method import HeldOut, Method, MethodOptions, Stage
from longtail.types import Batch, ModelOutput, Progress

GRID = tuple(step / 10 for step in range(21))


class TauNormalisation(Method):
    """Plain training, then each class's classifier weights divided by their norm to the power tau."""

    paper = 'Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020, '
    paper += "arXiv:1910.09217"
    needs = MappingProxyType({"head": "linear"})

    class Options(MethodOptions):
        """Keys of the recipe.

        Attributes:
            tau: the power; 0 leaves the weights alone, 1 gives all classes the same length.
            choose: choose another on validation images, where there are some.
        """

        tau: float = Field(0.7, ge=0, le=100)
        choose: bool = True

    def phase(self, progress: Progress) -> str:
        return progress.stage

    def loss(self, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Float[Tensor, ""]]:
        return {"cross_entropy": expert_cross_entropy(output.logits, batch.target).sum()}

    def finalize(self, model: nn.Module, held_out: HeldOut | None) -> str:
        weight, bias = (model.get_parameter(f"heads.first.{name}") for name in ("weight", "bias"))
        chosen = self.options.choose and held_out is not None
        tau = best_tau(weight, cast(HeldOut, held_out)) if chosen else self.options.tau
        weight.copy_(normalised(weight, tau))
        bias.zero_()
        return f"classifiers normalised with tau = {tau:g}, " + (
            "the best on the validation images" if chosen else "as the recipe has it"
        )

    def assumed_log_prior(self, stage: Stage) -> Float[Tensor, " c"]:
        return torch.zeros_like(self.class_counts, dtype=torch.float64)


def normalised(weight: Float[Tensor, "m c d"], tau: float) -> Float[Tensor, "m c d"]:
    """Each row divided by the tau-th power of its length."""
    length: Tensor = torch.linalg.vector_norm(weight, dim=-1, keepdim=True)
    return weight / length.clamp_min(torch.finfo(weight.dtype).tiny).pow(tau)


def best_tau(weight: Float[Tensor, "m c d"], held_out: HeldOut) -> float:
    """Of the grid the smallest tau with the best mean accuracy of classes."""
    member = functional.one_hot(held_out.targets, weight.shape[1]).to(weight.dtype)
    share = member / member.sum(0).clamp_min(1)  # each image counts as one over those of its class
    found = []
    for tau in GRID:
        logits = held_out.features.to(weight.dtype) @ normalised(weight, tau).mT
        right = logits.mean(0).argmax(-1) == held_out.targets
        found.append((share.sum(1) * right).sum())
    scores = torch.stack(found)
    best = torch.where(scores == scores.amax(), scores.new_tensor(GRID), torch.inf).amin()
    return round(float(best), 1)
