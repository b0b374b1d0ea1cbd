"""Figures with lines: confidence, what abstaining brings, and how training went."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.report.facts.confidence import Reliability, RiskLine
from longtail.report.facts.experts import Gain
from longtail.report.facts.training import Series, Training
from longtail.report.pictures.svg import COLORS, HEIGHT, new_figure
from longtail.report.style import GROUP_MARKS, epoch_axis, name_ends, percent_axis
from longtail.runs.groups import GROUPS

MARKED = 25  # up to that many points each has a mark


def reliability(found: Reliability) -> Figure:
    """How often it is right against how sure it is, with the band in which a truthful model would stay."""
    figure = new_figure(height=HEIGHT + 60)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _percents(axes, "right")
    rows = [(part.confidence, part.accuracy, *part.band) for part in found.bins]
    sure, right, low, high = 100 * np.array(rows, dtype=np.float64).T
    axes.plot([0, 100], [0, 100], color=COLORS["edge"], linewidth=1)
    axes.fill_between(sure, low, high, color=COLORS["edge"], alpha=0.25, linewidth=0)
    axes.plot(sure, right, color=COLORS["text"], marker="o", markersize=5, linewidth=1.5)
    edges = np.linspace(0, 100, len(found.histogram) + 1)
    below.stairs(found.histogram, edges, fill=True, color=COLORS["heat-3"])
    below.set_xlim(0, 100)
    below.set_xticks(range(0, 101, 20))
    below.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.set_xlabel("confidence")
    below.set_ylabel("images")
    return figure


def risk_coverage(lines: Sequence[RiskLine]) -> Figure:
    """The share of errors among the images that are answered, against the share that is answered."""
    figure = new_figure()
    axes = figure.add_subplot()
    _percents(axes, "errors among answered")
    ends = []
    for line in lines:
        x, y = (100 * np.array(values, dtype=np.float64) for values in (line.coverage, line.error))
        color, mark = _look(line.name)
        axes.plot(x, y, color=color, linewidth=2 if line.name in GROUPS else 3)
        axes.plot(x[-1:], y[-1:], color=color, marker=mark, markersize=7, clip_on=False)
        ends.append((float(y[-1]), f"\u00a0{line.name}", COLORS["text"]))
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 20))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_xlabel("share of images answered")
    name_ends(axes, ends, room=9.0)
    return figure


def curve(series: Series, training: Training) -> Figure:
    """One series over the epochs, broken where a stage ends."""
    figure = new_figure(height=180)
    axes = figure.add_subplot()
    _epochs(axes, training)
    x, y = (np.array(values, dtype=np.float64) for values in (series.epochs, series.values))
    for start, stop in pairwise([0, *training.edges, float("inf")]):
        inside = (x > start) & (x <= stop)
        mark = "o" if inside.sum() <= MARKED else None
        axes.plot(x[inside], y[inside], color=COLORS["text"], marker=mark, markersize=4)
    if y.min() >= 0:
        axes.set_ylim(0, 1.08 * max(y.max(), 1e-6))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return figure


def score_curves(scores: Sequence[Series], training: Training) -> Figure:
    """Scores over the epochs, all and groups."""
    figure = new_figure()
    axes = figure.add_subplot()
    _epochs(axes, training)
    ends = []
    for series in scores:
        y = 100 * np.array(series.values, dtype=np.float64)
        color, mark = _look(series.name)
        every = mark if len(y) <= MARKED else None
        width = 2 if series.name in GROUPS else 3
        axes.plot(series.epochs, y, color=color, marker=every, markersize=5, linewidth=width, clip_on=False)
        axes.plot(series.epochs[-1:], y[-1:], color=color, marker=mark, markersize=7, clip_on=False)
        ends.append((float(y[-1]), f"\u00a0{series.name}", COLORS["text"]))
    percent_axis(axes, COLORS["grid"])
    name_ends(axes, ends, room=9.0)
    return figure


def gains(rows: Sequence[Gain]) -> Figure:
    """What all experts together gain over the best of them, with intervals; right of the line is better."""
    figure = new_figure(height=70 + 32 * len(rows))
    axes = figure.add_subplot()
    most = max(100 * abs(end) for row in rows for end in (*row.interval, row.value))
    for place, row in enumerate(rows):
        low, high = row.interval
        axes.hlines(place, 100 * low, 100 * high, color=COLORS["text"], linewidth=3)
        axes.plot(100 * row.value, place, color=COLORS["text"], marker="s", markersize=8)
    axes.axvline(0, color=COLORS["edge"], linewidth=1)
    axes.set_yticks(range(len(rows)), [row.score for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-1.1 * max(most, 1), 1.1 * max(most, 1))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x", color=COLORS["grid"], linewidth=0.8)
    axes.set_xlabel("points more than the best expert")
    return figure


def _look(name: str) -> tuple[str, str]:
    return COLORS.get(name, COLORS["text"]), GROUP_MARKS.get(name, "s")


def _epochs(axes: Axes, training: Training) -> None:
    epoch_axis(axes, training.epochs, training.edges, COLORS["edge"], COLORS["grid"])
    axes.set_xlabel("epoch")


def _percents(axes: Axes, label: str) -> None:
    percent_axis(axes, COLORS["grid"])
    axes.set_ylabel(label)
