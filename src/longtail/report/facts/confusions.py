"""What is taken for what? Groups, pairs with their images, the matrix where it can be read, and sinks."""

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.sections import Confusions, Matrix, Pair, Prediction, Sink
from longtail.report.limits import ENOUGH
from longtail.runs.groups import GROUPS

MOST_PAIRS, LEAST_IMAGES, SHOWN_WRONG = 20, 2, 3
ALL_COUNTS, LARGEST_MATRIX = 20, 150
SINKS = 5
LISTED = 20


def confusions(e: Evaluation) -> Confusions:
    """The section, from the evaluated images."""
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
