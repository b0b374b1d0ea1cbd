"""The sums that every metric is computed from: gathered batch by batch, merged over processes by adding."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.runs.groups import FEW_BELOW, MANY_ABOVE
from longtail.types import InputError

BINS = 15


@dataclass(frozen=True, slots=True)
class EvaluationCounts:
    """Sums over the images evaluated so far, int64 and float64, on one device.

    Attributes:
        confusion: (C, C) images of true class row that the mean logits predict as class column.
        expert_correct: (M, C) images of each class that each expert alone predicts correctly.
        bin_count: (15,) images by confidence of the prediction, bin i from i/15 (excluded) to (i+1)/15.
        bin_confidence: (15,) sum of the confidences in each bin.
        bin_correct: (15,) correct predictions in each bin.
        nll_sum: () sum of -log p of the true class, in nats.

    """

    confusion: Int[Tensor, "c c"]
    expert_correct: Int[Tensor, "m c"]
    bin_count: Int[Tensor, " bins"]
    bin_confidence: Float[Tensor, " bins"]
    bin_correct: Int[Tensor, " bins"]
    nll_sum: Float[Tensor, ""]

    @classmethod
    def zeros(
        cls, num_experts: int, num_classes: int, device: torch.device | str = "cpu"
    ) -> "EvaluationCounts":
        """Counts of no image at all."""

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            confusion=zeros(num_classes, num_classes),
            expert_correct=zeros(num_experts, num_classes),
            bin_count=zeros(BINS),
            bin_confidence=zeros(BINS, dtype=torch.float64),
            bin_correct=zeros(BINS),
            nll_sum=zeros(dtype=torch.float64),
        )

    @property
    def num_images(self) -> int:
        """Images evaluated so far."""
        return int(self.bin_count.sum())

    @torch.no_grad()
    def add(
        self,
        logits: Float[Tensor, "b c"],
        expert_logits: Float[Tensor, "m b c"],
        target: Int[Tensor, " b"],
    ) -> None:
        """Count one batch in place, without waiting for the device.

        Args:
            logits: (B, C) what the whole model says: the mean over experts.
            expert_logits: (M, B, C) what each expert says.
            target: (B,) class indices in [0, C).

        """
        classes = self.confusion.shape[0]
        log_probability = logits.float().log_softmax(-1)
        best, predicted = log_probability.max(-1)
        self.confusion.view(-1).scatter_add_(0, target * classes + predicted, torch.ones_like(target))
        hits = (expert_logits.argmax(-1) == target).long()
        self.expert_correct.scatter_add_(1, target.expand(len(hits), -1), hits)

        confidence = best.double().exp()
        slot = confidence_bin(confidence)
        in_bin = slot.unsqueeze(1) == torch.arange(BINS, device=slot.device)
        self.bin_count.add_(in_bin.sum(0))
        self.bin_confidence.add_((in_bin * confidence.unsqueeze(1)).sum(0))
        self.bin_correct.add_((in_bin & (predicted == target).unsqueeze(1)).sum(0))
        self.nll_sum.sub_(log_probability.gather(1, target.unsqueeze(1)).double().sum())

    def __add__(self, other: "EvaluationCounts") -> "EvaluationCounts":
        """Counts of both, for instance of two processes.

        Raises:
            InputError: the two do not have the same experts and classes.

        """
        if self.expert_correct.shape != other.expert_correct.shape:
            raise InputError(
                f"counts of {tuple(other.expert_correct.shape)} (experts, classes) cannot be added to counts "
                f"of {tuple(self.expert_correct.shape)}; evaluate both with the same model"
            )
        return EvaluationCounts(
            **{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        )

    def cpu(self) -> "EvaluationCounts":
        """The same counts in main memory."""
        return EvaluationCounts(**{field.name: getattr(self, field.name).cpu() for field in fields(self)})


def confidence_bin(confidence: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """(B,) which of the 15 bins each confidence in [0, 1] falls into; an edge belongs to the bin below it."""
    return (confidence * BINS).ceil().long().clamp(1, BINS) - 1


def class_groups(
    class_counts: Int[Tensor, " c"], many_above: int = MANY_ABOVE, few_below: int = FEW_BELOW
) -> tuple[str, ...]:
    """The group of each class: "many", "medium" or "few" training images.

    Args:
        class_counts: (C,) training images of each class.
        many_above: a class with more images than this is "many".
        few_below: a class with fewer images than this is "few"; every other one is "medium".

    Example:
        >>> class_groups(torch.tensor([101, 100, 20, 19]))
        ('many', 'medium', 'medium', 'few')

    """
    return tuple(
        "many" if count > many_above else "few" if count < few_below else "medium"
        for count in class_counts.tolist()
    )
