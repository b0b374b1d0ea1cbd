"""The network and its method as one module: from an augmented batch to its loss."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.method import Method
from longtail.models import ExpertResNet
from longtail.types import Batch, ModelOutput, Progress


class Outcome(NamedTuple):
    """What a training batch leads to.

    Attributes:
        total: the plain sum of the terms, with gradients.
        terms: the named terms of the loss, without gradients.
        output: what the network said, without gradients.
    """

    total: Float[Tensor, ""]
    terms: Mapping[str, Float[Tensor, ""]]
    output: ModelOutput


class Objective(nn.Module):
    """Forward pass, statistics and losses in one call, for whatever wraps or records a module.

    Args:
        model: the network.
        method: its method.
        precision: makes the context in which the network computes.
    """

    def __init__(
        self, model: ExpertResNet, method: Method, precision: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        super().__init__()
        self.model, self.method, self.precision = model, method, precision

    def forward(
        self, batch: Batch, bank: str, progress: Progress, features: Float[Tensor, "m b d"] | None = None
    ) -> Outcome:
        """The loss of one augmented batch; statistics of the method and of batch norm move.

        Args:
            batch: normalised images.
            bank: which bank of classifiers to ask.
            progress: where the run stands.
            features: (M, B, D) of the batch, where they are known; its images are then not looked at.
        """
        batch = self.method.prepare(batch, progress)
        with self.precision():
            features = self.model.extract(batch.image) if features is None else features
            output = self.model.classify(features, bank)
        with torch.no_grad():
            self.method.observe(output, batch, progress)
        terms = self.method.loss(output, batch, progress)
        total = torch.stack(list(terms.values())).sum()
        return Outcome(total, {name: term.detach() for name, term in terms.items()}, _detached(output))


def _detached(output: ModelOutput) -> ModelOutput:
    aux = {name: value.detach() for name, value in output.aux.items()}
    return ModelOutput(output.features.detach(), output.logits.detach(), aux)
