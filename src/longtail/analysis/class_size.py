"""Does accuracy fall with the size of a class? Recall against training images, with 95 % intervals."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from longtail.analysis.drawing import color_of, mark_of, new_panels, short_name
from longtail.analysis.sources import Runs, evaluation_of
from longtail.metrics.intervals import macro_interval, wilson
from longtail.report.facts.evaluation import Evaluation
from longtail.report.style import RULE, percent_axis
from longtail.runs.groups import GROUPS

SINGLE = 20  # classes up to which each is drawn with its interval; above, sets of classes of about one size
SETS = 8
COLUMNS = ("run", "level", "name", "group", "classes", "train_images", "test_images", "recall", "low", "high")


def compute(runs: Runs) -> pd.DataFrame:
    """A row a class, then a row for each set of classes of about one size, where there are many, and for each group.

    Columns run, level (class, set or group), name, group, classes (how many), train_images (of sets and groups the
    geometric mean), test_images, recall (of sets and groups the mean of their tested classes), and low and high, its
    95 % interval: Wilson's for a class, and that of a mean of classes else. Where the run knows which images come from
    one source, these count for less. A class without test images has none of the three.

    Raises:
        InputError: a run has no evaluation.
    """
    rows = [row for name, run in runs.items() for row in _rows(name, evaluation_of(run))]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(run: str, e: Evaluation) -> Iterator[tuple[object, ...]]:
    low, high = wilson(e.worth_correct, e.worth)
    for c, name in enumerate(e.names):
        ends = float(e.recall[c]), float(low[c]), float(high[c])
        yield run, "class", name, GROUPS[e.group[c]], 1, float(e.counts[c]), int(e.images[c]), *ends
    tested = np.flatnonzero(e.tested)
    if len(tested) > SINGLE:
        ordered = tested[np.argsort(-e.counts[tested], kind="stable")]
        for number, chosen in enumerate(np.array_split(ordered, SETS), 1):
            yield run, "set", f"set {number}", None, *_mean(e, chosen)
    for place, group in enumerate(GROUPS):
        chosen = np.flatnonzero(e.tested & (e.group == place))
        if len(chosen):
            yield run, "group", group, group, *_mean(e, chosen)


def _mean(e: Evaluation, chosen: np.ndarray) -> tuple[object, ...]:
    size = float(np.exp(np.log(np.maximum(e.counts[chosen], 1)).mean()))
    ends = macro_interval(e.worth_correct[chosen], e.worth[chosen])
    return len(chosen), size, int(e.images[chosen].sum()), float(e.recall[chosen].mean()), *ends


def notes(table: pd.DataFrame) -> list[str]:
    """What is not in the picture."""
    untested = table[(table["level"] == "class") & (table["test_images"] == 0)]
    return [
        f"{short_name(str(run))}: {len(own):,} class{'es' * (len(own) > 1)} without evaluated images not shown"
        for run, own in untested.groupby("run", sort=False)
    ]


def plot(table: pd.DataFrame) -> Figure:
    """One panel: a line a run through its classes or sets of classes; faint marks are single classes."""
    runs = list(table.groupby("run", sort=False))
    title = "Recall by class size, with 95 % intervals (dotted: edges of the groups)"
    figure, (axes,) = new_panels(
        1, title, notes(table), runs=[_label(str(run), own) for run, own in runs], size=(5.0, 2.9)
    )
    percent_axis(axes)
    _size_axis(axes, table[table["test_images"] > 0])
    edges = {_edges(own[own["level"] == "class"]) for _, own in runs}
    for edge in next(iter(edges)) if len(edges) == 1 else ():
        axes.axvline(edge, color=RULE, linewidth=0.8, linestyle=(0, (2, 2)))
    for place, (_, own) in enumerate(runs):
        tested = own[own["test_images"] > 0]
        classes, sets = (tested[tested["level"] == level] for level in ("class", "set"))
        shown = classes if sets.empty else sets
        shift = 1.03 ** (place - (len(runs) - 1) / 2)
        line = shown.assign(x=shown["train_images"] * shift).sort_values("x")
        recall, color = 100 * line["recall"], color_of(place)
        ends = np.stack([recall - 100 * line["low"], 100 * line["high"] - recall]).clip(min=0)
        axes.errorbar(
            line["x"], recall, yerr=ends, color=color, marker=mark_of(place), markersize=5, linewidth=1.4,
            elinewidth=0.9, capsize=2,
        )  # fmt: skip
        if not sets.empty:
            axes.scatter(
                classes["train_images"] * shift,
                100 * classes["recall"],
                s=9,
                color=color,
                alpha=0.3,
                linewidths=0,
            )
    return figure


def _size_axis(axes: Axes, tested: pd.DataFrame) -> None:
    sizes = tested.loc[tested["level"] == "class", "train_images"]
    axes.set_xscale("log")
    axes.set_xlim(max(sizes.min(), 0.5) / 1.25, sizes.max() * 1.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training images of the class")


def _edges(classes: pd.DataFrame) -> tuple[float, ...]:
    """Where few, medium and many give way to each other, between the sizes of their classes."""
    sizes = [classes.loc[classes["group"] == group, "train_images"] for group in reversed(GROUPS)]
    known = [own for own in sizes if len(own)]
    return tuple(float(np.sqrt(below.max() * above.min())) for below, above in pairwise(known))


def _label(run: str, own: pd.DataFrame) -> str:
    means = own[own["level"] == "group"]
    said = [f"{row.group} {100 * row.recall:.1f}" for row in means.itertuples()]
    return f"{short_name(run)} (mean: {', '.join(said)} %)"
