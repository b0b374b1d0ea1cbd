"""Network and method as one module: from an augmented batch to its loss."""

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from longtail.engine.processes import ALONE, Processes
from longtail.method import Method
from longtail.models import ExpertModel
from longtail.types import Batch, InputError, ModelOutput, Progress


class Outcome(NamedTuple):
    """The result of a training batch: loss terms and output.

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
        processes: those that share a batch: each sends its part through the network; the features are gathered, so
            that logits, statistics and losses are those of the whole batch on all of them, and no method knows.
    """

    def __init__(
        self,
        model: ExpertModel,
        method: Method,
        precision: Callable[[], AbstractContextManager[Any]],
        processes: Processes = ALONE,
    ) -> None:
        super().__init__()
        self.model, self.method, self.precision, self.processes = model, method, precision, processes

    def forward(
        self,
        batch: Batch,
        bank: str,
        progress: Progress,
        features: Float[Tensor, "m b d"] | None = None,
        *,
        again: bool = False,
    ) -> Outcome:
        """The loss of one augmented batch; statistics of the method and of batch norm move.

        Args:
            batch: normalised images.
            bank: which head bank to ask.
            progress: where the run stands.
            features: (M, B, D) of the whole batch, where they are known; its images are then not looked at.
            again: a second look at the same batch, of which the method keeps no statistics.
        """
        batch = self.method.prepare(batch, progress)
        own, views = self._own_images(batch)
        with self.precision():
            if features is None:
                features = self._gathered(self._extracted(own), batch, views)
            if self.method.has_teacher:
                batch = self._taught(batch, own, views, bank)
            output = self.model.classify(self.method.mix(features, batch, progress), bank)
        if not again:
            with torch.no_grad():
                self.method.observe(output, batch, progress)
        terms = self.method.loss(output, batch, progress)
        total = torch.stack(list(terms.values())).sum()
        return Outcome(total, {name: term.detach() for name, term in terms.items()}, _detached(output))

    def look(self, batch: Batch, progress: Progress) -> None:
        """Send the images of an augmented batch through the network, for its statistics."""
        own, _ = self._own_images(self.method.prepare(batch, progress))
        with self.precision():
            self._extracted(own)

    def _extracted(self, image: Tensor) -> Float[Tensor, "m own d"]:
        try:
            return self.model.extract(image)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "optim.batch_size = 1 gives batch norm a single value of each channel, whose spread is unknown; "
                "set it to 2 or more"
            ) from None

    def _own_images(self, batch: Batch) -> tuple[Tensor, int]:
        """The part of the images, view by view, that this process is to look at, and how many views there are."""
        if not self.method.mixes_images:
            return batch.image, self.method.num_views
        views = len(batch.image) // len(batch.target)
        if self.processes.count == 1:
            return batch.image, views
        return torch.cat([self.processes.part(view) for view in batch.image.chunk(views)]), views

    def _gathered(self, own: Float[Tensor, "m own n"], batch: Batch, views: int) -> Float[Tensor, "m all n"]:
        return self.processes.gather(own, len(batch.target), views)

    @torch.no_grad()
    def _taught(self, batch: Batch, own: Tensor, views: int, bank: str) -> Batch:
        """The batch with what the method's teacher says of its images."""
        teacher = cast(ExpertModel, self.method.teacher)
        output = teacher.classify(self._gathered(teacher.extract(own), batch, views), bank)
        said = {"teacher_features": output.features, "teacher_logits": output.logits}
        return replace(batch, aux={**batch.aux, **said})


def distributed(objective: Objective) -> nn.Module:
    """The objective itself, or, for several processes, one whose gradients are the mean over them.

    A parameter that a phase of a method leaves out has no gradient, as in one process. Buffers are equal by themselves.
    """
    if objective.processes.count == 1:
        return objective
    # torch warns where it looks for parameters left out and finds none, as in most phases: give it one to find.
    objective.left_out = nn.Parameter(torch.zeros((), device=objective.method.class_counts.device))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `broadcast_buffers` has another name in torch 2.15
        return DistributedDataParallel(objective, broadcast_buffers=False, find_unused_parameters=True)


def _detached(output: ModelOutput) -> ModelOutput:
    aux = {name: value.detach() for name, value in output.aux.items()}
    return ModelOutput(output.features.detach(), output.logits.detach(), aux)
