"""One pass over a split with folded batch norm: counts for the metrics and, where asked, every image's prediction."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longtail.augment import Augment
from longtail.data import Split, batches
from longtail.method import Method
from longtail.metrics import EvaluationCounts
from longtail.models import ExpertResNet, fold_batch_norm
from longtail.types import Batch


@dataclass(frozen=True)
class Predictions:
    """What a model says of each image of a split, in order.

    Attributes:
        probabilities: (N, C) float32 of all experts together.
        experts: (N, M) int64 class index that each expert would choose alone.
    """

    probabilities: np.ndarray
    experts: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """(N,) class index of highest probability."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def agreement(self) -> np.ndarray:
        """(N,) share of the experts that choose the same class as all together, in [0, 1]."""
        return np.asarray((self.experts == self.label[:, None]).mean(axis=1))


def evaluation_batch(asked: int, device: torch.device, image_size: int) -> int:
    """Images a batch in evaluation, where 0 was asked for.

    A processor is fastest while a batch's maps stay in its cache; an accelerator needs enough work at once to be busy.
    """
    small = 64 if device.type == "cpu" else 4096
    return asked or max(16, small * 32**2 // max(image_size, 32) ** 2)


@torch.inference_mode()
def infer(
    model: ExpertResNet, method: Method, stream: Iterator[Batch], augment: Augment, bank: str
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Batches with their joint logits (B, C) and each expert's logits (M, B, C); the model stays as it is."""
    folded = fold_batch_norm(model)
    for batch in stream:
        output = folded(augment.normalize(batch.image), bank=bank)
        yield batch, method.logits(output), method.expert_logits(output)


def evaluate(
    model: ExpertResNet,
    method: Method,
    split: Split,
    augment: Augment,
    *,
    bank: str,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
) -> tuple[EvaluationCounts, Predictions]:
    """Evaluate a split whole; no statistic of the model or the method changes.

    Args:
        bank: which bank of classifiers to ask.
        batch_size: images a batch; changes no result beyond rounding.
    """
    counts = EvaluationCounts.zeros(model.num_experts, model.num_classes, device=device)
    probabilities, experts = [], []
    order = torch.arange(len(split.targets))
    stream = batches(split, order, batch_size, device, workers=workers)
    for batch, logits, each in infer(model, method, stream, augment, bank):
        counts.add(logits, each, batch.target)
        probabilities.append(logits.softmax(dim=-1))
        experts.append(each.argmax(dim=-1).T)
    return counts, Predictions(torch.cat(probabilities).cpu().numpy(), torch.cat(experts).cpu().numpy())
