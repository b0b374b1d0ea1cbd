"""Several runs under each other: scores, differences on the same images, and what makes them hard to compare."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from longtail.metrics.pairs import macro_weights, paired_gain
from longtail.plurals import counted
from longtail.report.facts.evaluation import Evaluation, read_evaluation
from longtail.report.text import percent
from longtail.runs.run import SCORES, Run
from longtail.text_table import table_lines


def comparison_lines(runs: Sequence[Run]) -> list[str]:
    """One row a run: its scores; below, paired differences to the first, and why the rows may not be comparable."""
    names = [run.path.name or str(run.path) for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    rows = [[name, *_row(run)] for name, run in zip(names, runs, strict=True)]
    table = table_lines(("accuracy, %", *SCORES, "epoch"), rows)
    return [*table, *_differences(names, runs), *_doubts(names, runs)]


def _differences(names: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    """The difference in macro recall of each run to the first, where both were evaluated on the same images."""
    first = read_evaluation(runs[0])
    for name, run in zip(names[1:], runs[1:], strict=True):
        other = None if first is None else read_evaluation(run)
        if first is None or other is None or other.names != first.names:
            continue
        rows = {path: row for row, path in enumerate(other.paths)}
        if len(rows) != len(other.paths) or set(rows) != set(first.paths):
            continue
        order = np.array([rows[path] for path in first.paths], dtype=np.int64)
        if not np.array_equal(other.target[order], first.target):
            continue
        yield _difference(name, names[0], first, other.label[order] == other.target[order])


def _difference(name: str, against: str, first: Evaluation, right: Bool[ndarray, " n"]) -> str:
    weight = macro_weights(first.target, np.ones(len(first.names), dtype=bool))
    value, low, high = (
        100 * one for one in paired_gain(right, first.label == first.target, weight, first.source)
    )
    word = "better" if low > 0 else "worse" if high < 0 else "within chance"
    return (
        f"{name} - {against}: macro {value:+.1f} ({low:+.1f} to {high:+.1f}, 95 %), {word}; paired on the same "
        f"{counted(len(right), 'image')}, for these two runs alone"
    )


def _row(run: Run) -> list[str]:
    metrics, epochs = run.metrics, run.status["epochs"]
    if metrics is None:
        return ["-"] * len(SCORES) + [f"{run.status['epoch']} of {epochs}"]
    done = str(epochs) if run.finished else f"{metrics['epoch']} of {epochs}"
    return [percent(metrics[key]) for key in SCORES] + [done]


def _doubts(names: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    first = runs[0]
    for name, run in zip(names, runs, strict=True):
        if not run.finished:
            yield f"{name} is not finished"
        if [c["name"] for c in run.classes] != [c["name"] for c in first.classes]:
            yield f"{name} has other classes than {names[0]}: their scores cannot be compared"
            continue
        if run.metrics and first.metrics and not _tested_alike(run, first):
            yield f"{name} was tested on other images than {names[0]}: compare with care"
        trained, others = (sum(c["count"] for c in one.classes) for one in (run, first))
        if trained != others:
            yield f"{name} was trained on {counted(trained, 'image')}, {names[0]} on {others:,}"
        if [c["group"] for c in run.classes] != [c["group"] for c in first.classes]:
            yield f"{name} has other classes in its groups (many, medium, few) than {names[0]}: compare these by class"


def _tested_alike(run: Run, other: Run) -> bool:
    """Whether both were tested on the same images, as far as their number, their place and their classes say."""
    a, b = run.metrics or {}, other.metrics or {}
    if (run.split, a.get("num_images"), a.get("data")) != (other.split, b.get("num_images"), b.get("data")):
        return False
    one, two = run.table("per_class"), other.table("per_class")
    return one is None or two is None or bool((one["test_images"] == two["test_images"]).all())
