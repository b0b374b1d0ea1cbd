"""Figures with lines: confidence, what abstaining brings, and how training went."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longtail.report.page.svg import COLORS, HEIGHT, new_figure
from longtail.report.run import GROUPS
from longtail.report.style import GROUP_MARKS, epoch_axis, name_ends

MARKED = 25  # up to that many points each has a mark
Line = Sequence[tuple[float, float]]


def reliability(
    bins: Sequence[tuple[float, float, float, float]], counts: Sequence[tuple[float, float, int]]
) -> Figure:
    """How often it is right against how sure it is.

    Args:
        bins: (mean confidence, accuracy, lower and upper end of the consistency band), each in [0, 1].
        counts: (from, to, images) of the histogram of confidence.
    """
    figure = new_figure(height=HEIGHT + 60)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _percents(axes, "right")
    sure, right, low, high = 100 * np.array(bins).T
    axes.plot([0, 100], [0, 100], color=COLORS["edge"], linewidth=1)
    axes.fill_between(sure, low, high, color=COLORS["edge"], alpha=0.25, linewidth=0)
    axes.plot(sure, right, color=COLORS["text"], marker="o", markersize=5, linewidth=1.5)
    edges = [100 * counts[0][0], *(100 * stop for _, stop, _ in counts)]
    below.stairs([images for *_, images in counts], edges, fill=True, color=COLORS["heat-3"])
    below.set_xlim(0, 100)
    below.set_xticks(range(0, 101, 20))
    below.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.set_xlabel("confidence")
    below.set_ylabel("images")
    return figure


def risk_coverage(lines: Mapping[str, Line]) -> Figure:
    """The share of errors among the images that are answered, against the share that is answered.

    Args:
        lines: name ("overall", or a group) -> (share answered, error among them), each in [0, 1].
    """
    figure = new_figure()
    axes = figure.add_subplot()
    _percents(axes, "errors among answered")
    ends = []
    for name, line in lines.items():
        x, y = 100 * np.array(line).T
        color, mark = _look(name)
        axes.plot(x, y, color=color, linewidth=3 if name == "overall" else 2)
        axes.plot(x[-1:], y[-1:], color=color, marker=mark, markersize=7, clip_on=False)
        ends.append((float(y[-1]), f"\u00a0{name}", COLORS["text"]))
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 20))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_xlabel("share of images answered")
    name_ends(axes, ends, room=9)
    return figure


def curve(line: Line, epochs: int, edges: Sequence[int]) -> Figure:
    """One series over the epochs.

    Args:
        line: (epoch counted from 1, value).
        epochs: length of the whole run.
        edges: finished epochs at which one stage gave way to the next.
    """
    figure = new_figure(height=180)
    axes = figure.add_subplot()
    _epochs(axes, epochs, edges)
    x, y = np.array(line).T
    for start, stop in pairwise([0.0, *map(float, edges), float("inf")]):
        inside = (x > start) & (x <= stop)
        mark = "o" if inside.sum() <= MARKED else None
        axes.plot(x[inside], y[inside], color=COLORS["text"], marker=mark, markersize=4)
    if y.min() >= 0:
        axes.set_ylim(0, 1.08 * max(y.max(), 1e-6))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return figure


def score_curves(lines: Mapping[str, Line], epochs: int, edges: Sequence[int]) -> Figure:
    """Macro and groups over the epochs, in [0, 1]; see `curve`."""
    figure = new_figure()
    axes = figure.add_subplot()
    _epochs(axes, epochs, edges)
    ends = []
    for name, line in lines.items():
        x, y = np.array(line).T
        color, mark = _look(name)
        every = mark if len(line) <= MARKED else None
        width = 3 if name not in GROUPS else 2
        axes.plot(x, 100 * y, color=color, marker=every, markersize=5, linewidth=width, clip_on=False)
        axes.plot(x[-1:], 100 * y[-1:], color=color, marker=mark, markersize=7, clip_on=False)
        ends.append((100 * float(y[-1]), f"\u00a0{name}", COLORS["text"]))
    _percent_up(axes)
    name_ends(axes, ends, room=9)
    return figure


def experts(rows: Sequence[tuple[str, float | None, float | None, float | None]], title: str) -> Figure:
    """A dot with its interval for each expert and for all together.

    Args:
        rows: (name, value, lower end, upper end) in [0, 1]; a value of None leaves its line empty.
        title: what is compared.
    """
    figure = new_figure(height=60 + 32 * len(rows))
    axes = figure.add_subplot()
    for place, (name, value, low, high) in enumerate(rows):
        if value is None:
            continue
        whole = not name.startswith("expert")
        number = int(name.split()[-1]) if not whole else 0
        color = COLORS["text"] if whole else COLORS.get(f"expert-{number}", COLORS["quiet"])
        style = "-" if whole else ("-", (0, (4, 2)), (0, (1, 1.5)))[(number - 1) % 3]
        if low is not None and high is not None:
            axes.hlines(
                place, 100 * low, 100 * high, color=color, linewidth=3 if whole else 2, linestyle=style
            )
        axes.plot(100 * value, place, color=color, marker="s" if whole else "o", markersize=9 if whole else 7)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 20))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.grid(axis="x", color=COLORS["grid"], linewidth=0.8)
    axes.set_xlabel(title)
    return figure


def _look(name: str) -> tuple[str, str]:
    return COLORS.get(name, COLORS["text"]), GROUP_MARKS.get(name, "s")


def _epochs(axes: Axes, epochs: int, edges: Sequence[int]) -> None:
    epoch_axis(axes, epochs, ())
    axes.grid(axis="y", color=COLORS["grid"], linewidth=0.8)
    for edge in edges:
        axes.axvline(edge + 0.5, color=COLORS["edge"], linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlabel("epoch")


def _percents(axes: Axes, label: str) -> None:
    _percent_up(axes)
    axes.set_ylabel(label)


def _percent_up(axes: Axes) -> None:
    axes.set_ylim(-2, 102)
    axes.set_yticks(range(0, 101, 20))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.grid(axis="y", color=COLORS["grid"], linewidth=0.8)
