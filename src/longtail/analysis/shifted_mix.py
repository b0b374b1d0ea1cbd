"""What if classes came in other shares? Accuracy under long tails forward and backward, as SADE and BalPoE do."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from numpy import ndarray

from longtail.analysis.drawing import color_of, mark_of, new_panels, short_name
from longtail.analysis.sources import Runs, evaluation_of
from longtail.metrics.intervals import macro_interval
from longtail.report.facts.evaluation import Evaluation
from longtail.report.style import percent_axis

FACTORS = (50, 25, 10, 5, 2)
MIXES = (
    *(("forward", factor) for factor in FACTORS),
    ("uniform", 1),
    *(("backward", f) for f in FACTORS[::-1]),
)
COLUMNS = ("run", "mix", "factor", "prior", "accuracy", "low", "high", "untested_classes")
METHOD = "Computed by weighting the classes' recalls on all evaluated images, not by drawing images."
DASHED = "Dashed, hollow: predictions are made for the mix, which is known."
Known = Callable[[Evaluation, Float[ndarray, "k c"]], Int[ndarray, "k n"]]


def shares(counts: Int[ndarray, " c"], mix: str, factor: int) -> Float[ndarray, " c"]:
    """(C,) the share of each class; the class k-th in size has a weight that falls (forward) or grows to `factor`.

    Args:
        counts: (C,) training images, by which classes are ordered; equal ones by their index.
        mix: forward (the largest class comes most often), uniform or backward (the smallest does).
        factor: the most frequent class's share over that of the rarest.

    >>> shares(np.array([1, 9, 3]), "forward", 4).round(3)
    array([0.143, 0.571, 0.286])
    """
    place = np.argsort(np.argsort(-counts, kind="stable"), kind="stable") / max(1, len(counts) - 1)
    weight = float(factor) ** (-place if mix == "forward" else place)
    return np.asarray(weight / weight.sum(), dtype=float)


def compute(runs: Runs, known: "dict[str, Known] | None" = None) -> pd.DataFrame:
    """A row for each run and mix of classes.

    Columns run, mix (forward, uniform, backward), factor, prior (unknown; known: predictions made for that mix),
    accuracy, low and high (its 95 % interval), and untested_classes, which have no share.

    Args:
        runs: see there.
        known: name of a run -> what it would predict for each of K class priors (K, C), see `asking.known_mixes`; a
            class that is not tested is in no mix.

    Raises:
        InputError: a run has no evaluation.
    """
    rows = [
        row for name, run in runs.items() for row in _rows(name, evaluation_of(run), (known or {}).get(name))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(run: str, e: Evaluation, known: Known | None) -> Iterator[tuple[object, ...]]:
    mixes = np.stack([shares(e.counts, *mix) for mix in MIXES])
    untested = int((~e.tested).sum())
    for (mix, factor), weight in zip(MIXES, mixes, strict=True):
        yield run, mix, factor, "unknown", *_accuracy(e, e.correct, weight), untested
    if known is not None:
        for (mix, factor), weight, label in zip(MIXES, mixes, known(e, mixes * e.tested), strict=True):
            correct = np.bincount(e.target[label == e.target], minlength=len(e.names))
            yield run, mix, factor, "known", *_accuracy(e, correct, weight), untested


def _accuracy(
    e: Evaluation, correct: Int[ndarray, " c"], weight: Float[ndarray, " c"]
) -> tuple[float, float, float]:
    """The weighted mean of the tested classes' recalls and its interval."""
    t = e.tested
    share, recall = weight[t] / weight[t].sum(), correct[t] / e.images[t]
    return float(share @ recall), *macro_interval(recall * e.worth[t], e.worth[t], share)


def notes(table: pd.DataFrame) -> list[str]:
    """How it was computed, and what has no share in it."""
    untested = table.groupby("run", sort=False)["untested_classes"].first()
    return [METHOD] + [
        f"{short_name(str(run))}: {count:,} class{'es' * (count > 1)} without evaluated images left out"
        for run, count in untested.items()
        if count
    ]


def plot(table: pd.DataFrame) -> Figure:
    """One panel: accuracy of each run from the steepest forward to the steepest backward mix."""
    runs, title = (
        list(dict.fromkeys(table["run"])),
        "Accuracy under shifted class priors, with 95 % intervals",
    )
    said = [*notes(table), *([DASHED] if (table["prior"] == "known").any() else [])]
    figure, (axes,) = new_panels(1, title, said, runs=[short_name(run) for run in runs], size=(5.0, 2.9))
    percent_axis(axes)
    for place, run in enumerate(runs):
        for prior, style in (("unknown", "-"), ("known", (0, (4, 2)))):
            own = table[(table["run"] == run) & (table["prior"] == prior)]
            if own.empty:
                continue
            x = np.arange(len(own)) + 0.08 * (place - (len(runs) - 1) / 2)
            values = 100 * own["accuracy"]
            ends = np.stack([values - 100 * own["low"], 100 * own["high"] - values]).clip(min=0)
            axes.errorbar(
                x, values, yerr=ends, color=color_of(place), marker=mark_of(place), markersize=5, linewidth=1.4,
                elinewidth=0.9, capsize=2, linestyle=style, markerfacecolor="white" if prior == "known" else None,
            )  # fmt: skip
    axes.set_xticks(
        range(len(MIXES)), [str(factor) if mix != "uniform" else "uniform" for mix, factor in MIXES]
    )
    axes.set_xlabel("← forward: large classes more often     factor     backward: small classes more often →")
    return figure
