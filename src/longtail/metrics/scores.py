"""Accuracy by class, group and expert, from counts. Values are fractions; None where nothing was tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from longtail.metrics.counts import EvaluationCounts, class_groups
from longtail.runs.groups import FEW_BELOW, GROUPS, MANY_ABOVE
from longtail.types import InputError


@dataclass(frozen=True, slots=True)
class Scores:
    """How often the right class is found.

    Attributes:
        overall: correct images over images.
        macro: mean recall of the classes with test images (balanced accuracy).
        many, medium, few: mean recall of the group's classes with test images.
        recall: of each class, correct images over its test images.

    """

    overall: float | None
    macro: float | None
    many: float | None
    medium: float | None
    few: float | None
    recall: tuple[float | None, ...]

    def summary(self) -> dict[str, float | None]:
        """The five means by name, without the classes."""
        return {name: getattr(self, name) for name in ("overall", "macro", *GROUPS)}


def summarize(correct: Int[Tensor, " c"], images: Int[Tensor, " c"], groups: Sequence[str]) -> Scores:
    """Scores from the correct images of each class.

    Args:
        correct: (C,) correctly predicted test images of each class.
        images: (C,) test images of each class; a class without any is in no mean.
        groups: C names, as `class_groups` gives them.

    Example:
        Recalls 3/4 and 0, the third class untested:

        >>> scores = summarize(torch.tensor([3, 0, 0]), torch.tensor([4, 1, 0]), ("many", "few", "few"))
        >>> scores.overall, scores.macro, scores.many, scores.medium, scores.few
        (0.6, 0.375, 0.75, None, 0.0)

    """
    recall = _ratios(correct, images)
    pairs = list(zip(recall, groups, strict=True))
    return Scores(
        overall=_ratios(correct.sum().view(1), images.sum().view(1))[0],
        macro=_mean(recall),
        **{name: _mean([r for r, group in pairs if group == name]) for name in GROUPS},
        recall=recall,
    )


def to_metrics(
    counts: EvaluationCounts,
    class_counts: Int[Tensor, " c"],
    class_names: Sequence[str],
    *,
    many_above: int = MANY_ABOVE,
    few_below: int = FEW_BELOW,
) -> dict[str, Any]:
    """Every figure of an evaluation, ready for JSON.

    Args:
        counts: sums over all test images.
        class_counts: (C,) training images of each class.
        class_names: C names.
        many_above: a class with more training images than this is "many".
        few_below: a class with fewer training images than this is "few".

    Returns:
        overall, macro, many, medium, few, geometric_mean (of the recalls), worst_class {name, index, recall}
        (the first of several), ece (expected calibration error over 15 equal bins), nll (nats an image),
        num_images, experts [{overall, macro, many, medium, few}], not_tested [names]. None where there was
        nothing to test.

    Raises:
        InputError: the numbers of classes differ.

    """
    counts = counts.cpu()
    _check_classes(counts, class_counts, class_names)
    groups = class_groups(class_counts, many_above, few_below)
    images = counts.confusion.sum(1)
    scores = summarize(counts.confusion.diagonal(), images, groups)
    tested = [(r, index) for index, r in enumerate(scores.recall) if r is not None]
    worst, index = min(tested, default=(None, 0))
    num_images = counts.num_images
    gap = (counts.bin_correct - counts.bin_confidence).abs().sum()
    recalls = torch.tensor([r for r, _ in tested], dtype=torch.float64)
    return scores.summary() | {
        "geometric_mean": float(recalls.log().mean().exp()) if tested else None,
        "worst_class": {"name": class_names[index], "index": index, "recall": worst} if tested else None,
        "ece": float(gap) / num_images if num_images else None,
        "nll": float(counts.nll_sum) / num_images if num_images else None,
        "num_images": num_images,
        "experts": [summarize(correct, images, groups).summary() for correct in counts.expert_correct],
        "not_tested": [name for name, r in zip(class_names, scores.recall, strict=True) if r is None],
    }


def per_class_rows(
    counts: EvaluationCounts,
    class_counts: Int[Tensor, " c"],
    class_names: Sequence[str],
    *,
    many_above: int = MANY_ABOVE,
    few_below: int = FEW_BELOW,
) -> list[dict[str, Any]]:
    """One row for each class, in label order.

    Args:
        counts: sums over all test images.
        class_counts: (C,) training images of each class.
        class_names: C names.
        many_above: a class with more training images than this is "many".
        few_below: a class with fewer training images than this is "few".

    Returns:
        Rows of class, group, train_images, test_images, correct, recall (None without test images), precision
        (None if never predicted), mistaken_for (the wrong class predicted most often, the first of several;
        None if there is none).

    Raises:
        InputError: the numbers of classes differ.

    """
    confusion = counts.confusion.cpu()
    _check_classes(counts, class_counts, class_names)
    correct, images = confusion.diagonal(), confusion.sum(1)
    mistakes = confusion - torch.diag(correct)
    worst = mistakes.argmax(1).tolist()
    columns = {
        "class": class_names,
        "group": class_groups(class_counts, many_above, few_below),
        "train_images": class_counts.tolist(),
        "test_images": images.tolist(),
        "correct": correct.tolist(),
        "recall": _ratios(correct, images),
        "precision": _ratios(correct, confusion.sum(0)),
        "mistaken_for": [
            class_names[index] if row[index] else None for index, row in zip(worst, mistakes, strict=True)
        ],
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _ratios(part: Int[Tensor, " n"], whole: Int[Tensor, " n"]) -> tuple[float | None, ...]:
    return tuple(p / w if w else None for p, w in zip(part.tolist(), whole.tolist(), strict=True))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _check_classes(
    counts: EvaluationCounts, class_counts: Int[Tensor, " c"], class_names: Sequence[str]
) -> None:
    given = (len(counts.confusion), len(class_counts), len(class_names))
    if len(set(given)) > 1:
        raise InputError(
            f"counts of {given[0]} classes, training counts of {given[1]} and {given[2]} class names do not "
            "belong together; give one of each for every class"
        )
