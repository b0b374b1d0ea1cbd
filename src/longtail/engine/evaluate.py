"""Evaluation of a split in one pass, with folded batch norm: counts for the metrics and, where asked, predictions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.augment import Augment
from longtail.data import Split, batches
from longtail.engine.decision import PLAIN, Decision
from longtail.engine.probes import ExpertDivergence
from longtail.engine.processes import ALONE, Processes
from longtail.engine.several_views import Answers, averaged
from longtail.method import Method
from longtail.metrics import EvaluationCounts
from longtail.models import ExpertModel, fold_batch_norm
from longtail.types import Batch


@dataclass(frozen=True)
class Predictions:
    """The model's predictions for each image of a split, in order.

    Attributes:
        labels: (N, K) the K best class indices of all experts together, the most probable first, and of equal ones,
            where K > 1, the lower.
        confidences: (N, K) float32 probability of each.
        uncalibrated: (N,) float32 probability of the first where no temperature is applied.
        experts: (N, M) class index that each expert would choose alone.
    """

    labels: Int[Tensor, "n k"]
    confidences: Float[Tensor, "n k"]
    uncalibrated: Float[Tensor, " n"]
    experts: Int[Tensor, "n m"]

    @classmethod
    def of(
        cls,
        logits: Float[Tensor, "n c"],
        expert_logits: Float[Tensor, "m n c"],
        top_k: int = 1,
        decision: Decision = PLAIN,
    ) -> "Predictions":
        """From joint and single logits, on their device."""
        probabilities = decision(logits).softmax(dim=-1)
        if top_k == 1:
            confidences, labels = probabilities.max(dim=-1, keepdim=True)
        else:
            confidences, labels = probabilities.sort(dim=-1, descending=True, stable=True)
        if decision.temperature == 1:
            uncalibrated = confidences[:, 0]
        else:
            uncalibrated = decision.uncalibrated(logits).softmax(dim=-1).gather(1, labels[:, :1])[:, 0]
        votes = decision.votes(expert_logits).argmax(dim=-1).T
        return cls(labels[:, :top_k], confidences[:, :top_k], uncalibrated, votes)

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Those of the parts, one after the other, in main memory."""
        columns = zip(*((p.labels, p.confidences, p.uncalibrated, p.experts) for p in parts), strict=True)
        return cls(*(torch.cat(column).cpu() for column in columns))

    @property
    def agreement(self) -> Float[Tensor, " n"]:
        """(N,) share of the experts that choose the same class as all together, in [0, 1]."""
        return (self.experts == self.labels[:, :1]).double().mean(dim=1)


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a split.

    Attributes:
        counts: sums without a temperature.
        calibrated: sums with it; the same object where there is none.
        predictions: of every image, K = 1.
        temperature: 1 where there is none.
        divergence: of the experts' predictions by class, where it was asked for; see `ExpertDivergence`.
    """

    counts: EvaluationCounts
    calibrated: EvaluationCounts
    predictions: Predictions
    temperature: float = 1.0
    divergence: list[float | None] | None = None


def evaluation_batch(asked: int, device: torch.device, image_size: int) -> int:
    """Images a batch in evaluation, where 0 was asked for.

    A CPU is fastest while a batch's maps stay in its cache; an accelerator needs enough work at once to be busy.
    """
    small = 64 if device.type == "cpu" else 4096
    return asked or max(16, small * 32**2 // max(image_size, 32) ** 2)


def infer(
    model: ExpertModel, method: Method, stream: Iterator[Batch], augment: Augment, bank: str
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Batches with their joint logits (B, C) and each expert's logits (M, B, C); the model stays as it is."""
    folded = fold_batch_norm(model)
    for batch in stream:
        with torch.inference_mode():
            output = folded(augment.normalize(batch.image), bank=bank)
            answer = method.logits(output), method.expert_logits(output)
        yield batch, *answer


def evaluate(
    model: ExpertModel,
    method: Method,
    split: Split,
    augment: Augment,
    *,
    bank: str,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
    processes: Processes = ALONE,
    decision: Decision = PLAIN,
    probed: bool = False,
    seen: Callable[[int], None] | None = None,
    views: int = 1,
) -> Evaluation:
    """Evaluate all of a split; no statistic of the model or the method changes.

    Args:
        bank: which head bank to ask.
        batch_size: images a batch; changes no result beyond rounding.
        processes: those that share the split; each evaluates its part.
        decision: temperature and class prior that predictions go by.
        seen: called with the number of images done.
        probed: whether to measure how far the experts' predictions lie apart.
        views: how many of each image to average over, see `VIEWS`.

    Returns:
        The counts of the whole split, and its predictions (on other processes than the first, their part's alone).
    """
    sizes = model.num_experts, model.num_classes
    counts = EvaluationCounts.zeros(*sizes, device=device)
    calibrated = counts if decision.temperature == 1 else EvaluationCounts.zeros(*sizes, device=device)
    nothing = torch.empty((model.num_experts, 0, model.num_classes), device=device)
    parts = [Predictions.of(nothing[0], nothing)]
    divergence = ExpertDivergence(model.num_classes, device) if probed else None
    done, order = 0, processes.part(torch.arange(len(split.targets)))
    stream = batches(split, order, batch_size, device, workers=workers)

    def ask(shown: Iterator[Batch]) -> Answers:
        return infer(model, method, shown, augment, bank)

    for batch, logits, each in averaged(ask, stream, views, decision.temperature):
        votes = decision.votes(each)
        counts.add(decision.uncalibrated(logits), votes, batch.target)
        if calibrated is not counts:
            calibrated.add(decision(logits), votes, batch.target)
        parts.append(Predictions.of(logits, each, decision=decision))
        if divergence is not None:
            divergence.add(each, batch.target)
        if seen is not None:
            done += len(batch.target)
            seen(done)
    own = Predictions.joined(parts)
    for each_sum in (counts,) if calibrated is counts else (counts, calibrated):
        processes.total(each_sum)
    found = Predictions.joined(processes.collect(own))
    apart = None if divergence is None else divergence.by_class(processes)
    return Evaluation(counts, calibrated, found, decision.temperature, apart)
