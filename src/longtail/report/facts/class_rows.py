"""How is my class? Each class's counts, intervals and standing, ranked without being fooled by few images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from longtail.metrics.intervals import FEW_SOURCES, wilson
from longtail.metrics.ranking import beta_binomial, shrunken, singled_out, spread_chance
from longtail.report.facts.evaluation import Evaluation, Interval
from longtail.report.facts.words import SURE, count
from longtail.runs.groups import ENOUGH, GROUPS

DIFFERENT = 0.05  # chance below which classes are said to differ


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class as tested.

    Attributes:
        name, index, group: who it is; group is "many", "medium" or "few".
        train_images, test_images, correct: counts.
        certainty: "not tested" (no test image), "too few" (1-9: only "2 of 3" is shown), "rough" (10-29) or "".
        recall, interval: of the class, at least one test image.
        precision: right among its predictions; None if it is never predicted.
        predicted: images predicted as this class.
        mistaken_for, mistaken_images: the wrong class predicted most often, None and 0 if there is none.
        confidence: mean confidence on its test images.
        standing: "weak" or "strong" where clearly outside what luck explains in its group, else "".
        sources: patients, cameras or bursts its test images come from; None where none are known.
        note: "from only 2 sources" where that says how little is known, else "".
    """

    name: str
    index: int
    group: str
    train_images: int
    test_images: int
    correct: int
    certainty: Literal["not tested", "too few", "rough", ""]
    recall: float | None
    interval: Interval | None
    precision: float | None
    predicted: int
    mistaken_for: str | None
    mistaken_images: int
    confidence: float | None
    standing: Literal["weak", "strong", ""]
    sources: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Classes:
    """How is my class? Ranked: worst first, then those with too few test images, then those not tested.

    Attributes:
        rows: every class.
        macro: the mean recall, for a tick.
        weakest, strongest: names of the clearly weak and strong, most extreme first.
        never_predicted: names of classes that were tested and never predicted.
        too_few, not_tested: names.
        differ: whether classes of a group differ more than luck makes them; None where that cannot be said.
        luck_at_zero: how many of the tested classes luck alone would leave without a correct image.
        typical_images: median test images of the tested classes.
    """

    rows: tuple[ClassRow, ...]
    macro: float | None
    weakest: tuple[str, ...]
    strongest: tuple[str, ...]
    never_predicted: tuple[str, ...]
    too_few: tuple[str, ...]
    not_tested: tuple[str, ...]
    differ: bool | None
    luck_at_zero: float
    typical_images: float


def class_rows(e: Evaluation) -> Classes:
    """Every class, worst first; then those with too few images to say, then those not tested."""
    rate, score = _rates(e)
    weak, strong, chance = _standing(e)
    rows = _rows(e, weak, strong)
    thin = e.images < ENOUGH
    order = np.lexsort((np.arange(len(rows)), score, thin, ~e.tested))
    extreme = np.argsort(chance, kind="stable")
    name = e.names.__getitem__
    return Classes(
        rows=tuple(rows[c] for c in order),
        macro=float(e.recall[e.tested].mean()),
        weakest=tuple(name(c) for c in extreme if weak[c]),
        strongest=tuple(name(c) for c in extreme if strong[c]),
        never_predicted=tuple(name(c) for c in np.flatnonzero(e.tested & (e.predicted == 0))),
        too_few=tuple(name(c) for c in np.flatnonzero(e.tested & thin)),
        not_tested=tuple(name(c) for c in np.flatnonzero(~e.tested)),
        differ=True if weak.any() or strong.any() else _differ(e),
        luck_at_zero=float(((1 - rate) ** e.worth)[e.tested].sum()),
        typical_images=float(np.median(e.images[e.tested])),
    )


def listed_classes(table: pd.DataFrame) -> Classes | None:
    """What per_class.csv says alone, where single images are not known: no interval and no standing.

    None where no class was tested.
    """
    rows = [_listed_row(number, row) for number, (_, row) in enumerate(table.iterrows())]
    recalls = [row.recall for row in rows if row.recall is not None]
    if not recalls:
        return None
    worst = sorted(rows, key=lambda row: (row.test_images < ENOUGH, row.recall is None, row.recall or 0.0))
    return Classes(
        rows=tuple(worst),
        macro=float(np.mean(recalls)),
        weakest=(),
        strongest=(),
        never_predicted=tuple(row.name for row in rows if row.test_images and row.precision is None),
        too_few=tuple(row.name for row in rows if row.certainty == "too few"),
        not_tested=tuple(row.name for row in rows if row.certainty == "not tested"),
        differ=None,
        luck_at_zero=0.0,
        typical_images=float(np.median([row.test_images for row in rows if row.test_images])),
    )


def _listed_row(number: int, row: pd.Series) -> ClassRow:
    return ClassRow(
        name=row["class"],
        index=number,
        group=row["group"],
        train_images=int(row["train_images"]),
        test_images=int(row["test_images"]),
        correct=int(row["correct"]),
        certainty=certainty(int(row["test_images"])),
        recall=None if pd.isna(row["recall"]) else float(row["recall"]),
        interval=None,
        precision=None if pd.isna(row["precision"]) else float(row["precision"]),
        predicted=0,
        mistaken_for=row["mistaken_for"] or None,
        mistaken_images=0,
        confidence=None,
        standing="",
        sources=None,
        note="",
    )


def _rates(e: Evaluation) -> tuple[Float[ndarray, " c"], Float[ndarray, " c"]]:
    """The mean recall of each class's group, and each class's recall drawn towards it."""
    rate, score = np.full(len(e.names), 0.5), np.full(len(e.names), np.inf)
    for which in e.of_groups()[1:]:
        if which.any():
            correct, images = e.worth_correct[which], e.worth[which]
            mean, concentration = beta_binomial(correct, images)
            rate[which] = mean
            score[which] = shrunken(correct, images, mean, concentration)
    return rate, score


def _standing(
    e: Evaluation,
) -> tuple[Bool[ndarray, " c"], Bool[ndarray, " c"], Float[ndarray, " c"]]:
    """Which classes are clearly weak or strong in their group, among those with enough images to say."""
    weak, strong, chance = np.zeros(len(e.names), bool), np.zeros(len(e.names), bool), np.ones(len(e.names))
    enough = e.images >= ENOUGH
    if enough.any():
        found = singled_out(e.worth_correct[enough], e.worth[enough], e.group[enough])
        weak[enough], strong[enough], chance[enough] = found
    return weak, strong, chance


def _differ(e: Evaluation) -> bool | None:
    if e.source is not None or not any(which.sum() > 1 for which in e.of_groups()[1:]):
        return None
    chance = spread_chance(e.correct[e.tested], e.images[e.tested], e.group[e.tested])
    return chance < DIFFERENT


def class_intervals(e: Evaluation) -> list[tuple[float, float]]:
    """The 95 % interval of each class's recall; nan where nothing was tested."""
    low, high = wilson(e.worth_correct, e.worth)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def certainty(images: int) -> Literal["not tested", "too few", "rough", ""]:
    """How much a recall of so many images says."""
    if images == 0:
        return "not tested"
    return "too few" if images < ENOUGH else "rough" if images < SURE else ""


def _rows(e: Evaluation, weak: Bool[ndarray, " c"], strong: Bool[ndarray, " c"]) -> list[ClassRow]:
    recall, interval = e.recall.tolist(), class_intervals(e)
    images, correct, predicted = e.images.tolist(), e.correct.tolist(), e.predicted.tolist()
    sure = np.bincount(e.target, e.confidence, len(e.names)).tolist()
    mistaken, times = _mistaken(e)
    rows = []
    for c, name in enumerate(e.names):
        tested, sources = images[c] > 0, None if e.sources is None else int(e.sources[c])
        few_sources = sources is not None and sources < min(FEW_SOURCES, images[c])
        rows.append(
            ClassRow(
                name=name,
                index=c,
                group=GROUPS[e.group[c]],
                train_images=int(e.counts[c]),
                test_images=images[c],
                correct=correct[c],
                certainty=certainty(images[c]),
                recall=recall[c] if tested else None,
                interval=interval[c] if tested else None,
                precision=correct[c] / predicted[c] if predicted[c] else None,
                predicted=predicted[c],
                mistaken_for=e.names[mistaken[c]] if times[c] else None,
                mistaken_images=int(times[c]),
                confidence=sure[c] / images[c] if tested else None,
                standing="weak" if weak[c] else "strong" if strong[c] else "",
                sources=sources,
                note=f"from only {count(sources or 0, 'source')}" if few_sources else "",
            )
        )
    return rows


def _mistaken(e: Evaluation) -> tuple[Int[ndarray, " c"], Int[ndarray, " c"]]:
    """The wrong class that each class is most often taken for, and how often; 0 where there is none."""
    first = e.pairs.drop_duplicates("true")
    label, images = np.zeros(len(e.names), np.int64), np.zeros(len(e.names), np.int64)
    label[first["true"]], images[first["true"]] = first["label"], first["images"]
    return label, images
