"""Are confidences honest for rare classes too? Reliability and calibration error by group of classes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from longtail.analysis.drawing import color_of, group_axis, mark_of, new_panels, short_name
from longtail.analysis.sources import Runs, evaluation_of
from longtail.metrics.counts import BINS, confidence_bin
from longtail.metrics.reliability import equal_mass_bins
from longtail.report.facts.evaluation import Evaluation
from longtail.report.style import GRID, GROUP_COLORS, GROUP_MARKS, INK, RULE
from longtail.runs.groups import GROUPS

SETS = ("all", *GROUPS)
BY = {"predicted": "class that was predicted", "true": "true class"}
RESAMPLES = 200
COLUMNS = (
    "run", "level", "by", "group", "images", "confidence", "accuracy", "low", "high", "ece", "ece_by_chance",
    "ece_uncalibrated",
)  # fmt: skip
KEY = (
    "Error: expected calibration error. Rule across a bar: the error that chance alone gives where every confidence is "
    "honest. A calibrated model, too, seems overconfident on images of rare classes when they are grouped by the true "
    "class, which it does not know."
)
HOLLOW = "Hollow mark: without the temperature."


def compute(runs: Runs) -> pd.DataFrame:
    """Images grouped by the size of the class predicted for them, and by that of their true class.

    Level "group": mean confidence and accuracy, the expected calibration error over 15 equal bins (`ece`), what it
    would be on average if each confidence were the chance of being right (`ece_by_chance`), and without the temperature
    (`ece_uncalibrated`). Level "bin": sets of about as many images each, by confidence, with where the accuracy lies in
    95 % of cases if the confidences are honest (`low`, `high`).

    Raises:
        InputError: a run has no evaluation.
    """
    rows = [row for name, run in runs.items() for row in _rows(name, evaluation_of(run))]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(run: str, e: Evaluation) -> Iterator[tuple[object, ...]]:
    for by, classes in (("predicted", e.label), ("true", e.target)):
        for group in SETS:
            chosen = (
                np.full(len(classes), True) if group == "all" else e.group[classes] == GROUPS.index(group)
            )
            if chosen.any():
                yield from _group(
                    (run, by, group), e.confidence[chosen], e.right[chosen], e.uncalibrated[chosen]
                )


def _group(
    of: tuple[str, str, str],
    confidence: Float[ndarray, " n"],
    right: Bool[ndarray, " n"],
    uncalibrated: Float[ndarray, " n"],
) -> Iterator[tuple[object, ...]]:
    run, by, group = of
    rng = np.random.default_rng(0)
    drawn = [calibration_error(confidence, rng.random(len(right)) < confidence) for _ in range(RESAMPLES)]
    yield (
        run, "group", by, group, len(right), float(confidence.mean()), float(right.mean()), None, None,
        calibration_error(confidence, right), float(np.mean(drawn)), calibration_error(uncalibrated, right),
    )  # fmt: skip
    bins = equal_mass_bins(confidence, right)
    for place in range(len(bins.images)):
        values = [float(v[place]) for v in (bins.confidence, bins.accuracy, bins.low, bins.high)]
        yield run, "bin", by, group, int(bins.images[place]), *values, None, None, None


def calibration_error(confidence: Float[ndarray, " n"], right: Bool[ndarray, " n"]) -> float:
    """Expected calibration error over 15 bins of equal width, as in metrics.json.

    >>> round(calibration_error(np.array([0.9, 0.9, 0.5]), np.array([True, False, True])), 4)
    0.4333
    """
    slot = confidence_bin(torch.from_numpy(confidence)).numpy()
    return float(np.abs(np.bincount(slot, right - confidence, minlength=BINS)).sum() / len(right))


def notes(table: pd.DataFrame) -> list[str]:
    """Groups that have no image."""
    found = table[table["level"] == "group"].groupby(["run", "by"], sort=False)["group"].agg(set)
    return [
        f"{short_name(str(run))}: no evaluated image has a {BY[str(by)]} of group {', '.join(missing)}"
        for (run, by), groups in found.items()
        for missing in [[group for group in SETS if group not in groups]]
        if missing
    ]


def plot(table: pd.DataFrame) -> Figure:
    """For each run its reliability by the group of the predicted class; then the errors of all runs by group."""
    runs = list(table.groupby("run", sort=False))
    title = "Calibration by the size of classes"
    bars = table[table["level"] == "group"]
    said = [KEY, HOLLOW] if (bars["ece_uncalibrated"] != bars["ece"]).any() else [KEY]
    names = [short_name(str(run)) for run, _ in runs] if len(runs) > 1 else []
    figure, panels = new_panels(
        len(runs) + len(BY), title, [*said, *notes(table)], runs=names, size=(3.6, 3.0)
    )
    for axes, (run, own) in zip(panels, runs, strict=False):
        _reliability(axes, own[(own["level"] == "bin") & (own["by"] == "predicted")])
        axes.set_title(short_name(str(run)))
    top = 1.1 * max(bars[["ece", "ece_by_chance", "ece_uncalibrated"]].max().max(), 0.01)
    for axes, (by, word) in zip(panels[len(runs) :], BY.items(), strict=True):
        _errors(axes, [own[own["by"] == by] for _, own in bars.groupby("run", sort=False)])
        axes.set_ylim(0, top)
        axes.set_title(f"error by {word}")
    return figure


def _reliability(axes: Axes, bins: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, linestyle=(0, (4, 3)))
    for group in SETS[1:]:
        own = bins[bins["group"] == group]
        if not own.empty:
            color = GROUP_COLORS[group]
            axes.fill_between(
                own["confidence"], own["low"], own["high"], color=color, alpha=0.12, linewidth=0
            )
            axes.plot(
                own["confidence"],
                own["accuracy"],
                color=color,
                marker=GROUP_MARKS[group],
                markersize=4,
                clip_on=False,
                label=group,
            )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="share of right ones")
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(loc="upper left", frameon=False, fontsize=8, borderaxespad=0.2)


def _errors(axes: Axes, runs: list[pd.DataFrame]) -> None:
    groups = [group for group in SETS if any(group in set(own["group"]) for own in runs)]
    group_axis(axes, groups)
    width = 0.75 / len(runs)
    for place, own in enumerate(runs):
        at = np.array([groups.index(group) for group in own["group"]]) + width * (place - (len(runs) - 1) / 2)
        axes.bar(at, own["ece"], width=0.9 * width, color=color_of(place), alpha=0.85)
        axes.hlines(own["ece_by_chance"], at - 0.4 * width, at + 0.4 * width, color=INK, linewidth=1.2)
        if (own["ece_uncalibrated"] != own["ece"]).any():
            axes.scatter(
                at, own["ece_uncalibrated"], s=22, marker=mark_of(place), facecolors="none", edgecolors=INK
            )
