"""What is taken for what? Groups, pairs with their images, the matrix where it can be read, and sinks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from longtail.report.facts.evaluation import Evaluation
from longtail.runs.groups import ENOUGH, GROUPS

MOST_PAIRS, LEAST_IMAGES, SHOWN_WRONG = 20, 2, 3
ALL_COUNTS, LARGEST_MATRIX = 20, 150
SINKS = 5
LISTED = 20

Frequent = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One evaluated image."""

    path: str
    name: str
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A class taken for another.

    Attributes:
        name, label: true class and predicted class.
        count: images.
        share: of the true class's test images; None where these are too few for a per cent.
        test_images: of the true class.
        reverse: images taken the other way.
        both_ways: whether the reverse count is at least half of this one.
        wrong: up to three of the images, surest mistake first.
        right, label_right: a correctly named image of each class, None if there is none.
    """

    name: str
    label: str
    count: int
    share: float | None
    test_images: int
    reverse: int
    both_ways: bool
    wrong: tuple[Prediction, ...]
    right: Prediction | None
    label_right: Prediction | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Confusions for up to 150 classes, rows true, columns predicted, both in the order of `names`.

    `errors_only` (from 21 classes on) says that the diagonal is 0 and the order puts confused classes together.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    test_images: tuple[int, ...]
    errors_only: bool


@dataclass(frozen=True, slots=True)
class Sink:
    """A class that swallows errors: how many, their share of all errors, and from how many classes."""

    name: str
    errors: int
    share: float
    classes: int


@dataclass(frozen=True, slots=True)
class Confusions:
    """What is taken for what?

    Attributes:
        groups: image counts by true (row) and predicted (column) group, in the order many, medium, few.
        errors: how many.
        pairs: at most 20, at least 2 images each.
        matrix: None above 150 classes.
        sinks: at most 5.
        listed: the errors it is surest of, at most 20.
        frequent: the first lines of confusions.csv: class, predicted class, images, and test images of the class.
            Where single images are not known, only this is not empty.
    """

    groups: tuple[tuple[int, int, int], ...] = ()
    errors: int = 0
    pairs: tuple[Pair, ...] = ()
    matrix: Matrix | None = None
    sinks: tuple[Sink, ...] = ()
    listed: tuple[Prediction, ...] = ()
    frequent: tuple[Frequent, ...] = ()


def confusions(e: Evaluation, frequent: tuple[Frequent, ...] = ()) -> Confusions:
    """The section, from the evaluated images; `frequent` as confusions.csv has it."""
    wrong = np.flatnonzero(~e.right)
    both = e.group[e.target] * len(GROUPS) + e.group[e.label]
    table = np.bincount(both, minlength=len(GROUPS) ** 2).reshape(len(GROUPS), -1)
    return Confusions(
        groups=tuple((int(a), int(b), int(c)) for a, b, c in table),
        errors=len(wrong),
        pairs=_pairs(e),
        matrix=_matrix(e),
        sinks=_sinks(e),
        listed=tuple(_prediction(e, i) for i in _surest(e, wrong)[:LISTED]),
        frequent=frequent,
    )


def _prediction(e: Evaluation, image: int) -> Prediction:
    return Prediction(
        e.paths[image], e.names[e.target[image]], e.names[e.label[image]], float(e.confidence[image])
    )


def _surest(e: Evaluation, images: Int[ndarray, " k"]) -> list[int]:
    """Image numbers, most confident first."""
    return [int(i) for i in images[np.argsort(-e.confidence[images], kind="stable")]]


def _pairs(e: Evaluation) -> tuple[Pair, ...]:
    table = e.pairs
    top = table[table["images"] >= LEAST_IMAGES].head(MOST_PAIRS)
    key = e.target * len(e.names) + e.label
    counts = dict(zip(table["true"] * len(e.names) + table["label"], table["images"], strict=True))
    return tuple(
        _pair(e, key, int(true), int(label), int(images), int(counts.get(label * len(e.names) + true, 0)))
        for true, label, images in top.itertuples(index=False)
    )


def _pair(e: Evaluation, key: Int[ndarray, " n"], true: int, label: int, images: int, reverse: int) -> Pair:
    def seen(class_: int, predicted: int) -> list[Prediction]:
        found = np.flatnonzero(key == class_ * len(e.names) + predicted)
        return [_prediction(e, image) for image in _surest(e, found)[:SHOWN_WRONG]]

    tested = int(e.images[true])
    return Pair(
        name=e.names[true],
        label=e.names[label],
        count=images,
        share=images / tested if tested >= ENOUGH else None,
        test_images=tested,
        reverse=reverse,
        both_ways=2 * reverse >= images,
        wrong=tuple(seen(true, label)),
        right=next(iter(seen(true, true)), None),
        label_right=next(iter(seen(label, label)), None),
    )


def _matrix(e: Evaluation) -> Matrix | None:
    classes = len(e.names)
    if classes > LARGEST_MATRIX:
        return None
    counts = np.bincount(e.target * classes + e.label, minlength=classes**2).reshape(classes, classes)
    order = np.arange(classes)
    if errors_only := classes > ALL_COUNTS:
        np.fill_diagonal(counts, 0)
        order = _leaf_order(counts / np.maximum(e.images, 1)[:, None])
    return Matrix(
        names=tuple(e.names[c] for c in order),
        counts=tuple(tuple(row) for row in counts[np.ix_(order, order)].tolist()),
        test_images=tuple(e.images[order].tolist()),
        errors_only=errors_only,
    )


def _leaf_order(share: ndarray) -> Int[ndarray, " c"]:
    """An order in which classes that are taken for each other stand together.

    Source: Bar-Joseph, Gifford and Jaakkola, Fast optimal leaf ordering for hierarchical clustering, 2001.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    closeness = share + share.T
    distance = squareform(closeness.max() - closeness, checks=False)
    return np.asarray(leaves_list(linkage(distance, "average", optimal_ordering=True)), dtype=np.int64)


def _sinks(e: Evaluation) -> tuple[Sink, ...]:
    """The classes that swallow most errors: at least two classes' images each."""
    by_label: pd.DataFrame = e.pairs.groupby("label")["images"].agg(["sum", "count"])
    found = (
        by_label[by_label["count"] > 1]
        .sort_values(["sum", "count"], ascending=False, kind="stable")
        .head(SINKS)
    )
    errors = int((~e.right).sum())
    return tuple(
        Sink(e.names[label], int(total), int(total) / errors, int(classes))
        for label, total, classes in found.itertuples()
    )
