"""Figures with a mark, a cell or a share for each class."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from longtail.report.class_plot import name_points
from longtail.report.page.svg import COLORS, TEXT, new_figure
from longtail.report.run import GROUPS
from longtail.report.style import GROUP_MARKS

Numbers = NDArray[np.float64]
HEAT = tuple(COLORS[f"heat-{level}"] for level in range(1, 6))


def class_size(
    train: Numbers,
    recall: Numbers,
    groups: Sequence[str],
    *,
    interval: tuple[Numbers, Numbers] | None,
    named: Sequence[tuple[float, float, str]],
    band: Sequence[tuple[float, float, float, float]],
    edges: Sequence[float],
) -> Figure:
    """Recall of each class against its training images.

    Args:
        train: (K,) training images, at least 1.
        recall: (K,) in [0, 1].
        groups: K of many, medium, few.
        interval: (K,) lower and upper ends of whiskers in [0, 1]; None for none.
        named: (training images, recall, name) of the classes to be named.
        band: (training images, lower quartile, median, upper quartile) along the running median.
        edges: training images at which a group ends.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    _size_axis(axes, train, edges)
    _percent(axes)
    _median(axes, band)
    if interval is not None:
        axes.vlines(train, 100 * interval[0], 100 * interval[1], color=COLORS["edge"], linewidth=1, zorder=2)
    for group in GROUPS:
        chosen = np.array([other == group for other in groups], dtype=bool)
        axes.scatter(
            train[chosen], 100 * recall[chosen], s=26 if len(train) > 60 else 44, marker=GROUP_MARKS[group],
            color=COLORS[group], edgecolors=COLORS["ground"], linewidths=0.6, zorder=3, clip_on=False,
        )  # fmt: skip
    figure.canvas.draw()
    points = [(x, 100 * y, name) for x, y, name in named]
    name_points(axes, points, size=TEXT - 1, color=COLORS["text"])
    return figure


def class_size_bins(
    train: Numbers,
    recall: Numbers,
    band: Sequence[tuple[float, float, float, float]],
    edges: Sequence[float],
) -> Figure:
    """As `class_size` for so many classes that marks would cover each other: darker where more classes lie."""
    figure = new_figure()
    axes = figure.add_subplot()
    _size_axis(axes, train, edges)
    _percent(axes)
    low, high = np.log10(train.min() / 1.2), np.log10(max(train.max(), train.min() + 1) * 1.2)
    across, up = np.linspace(low, high, 25), np.linspace(0, 1 + 1e-9, 21)
    count, _, _ = np.histogram2d(np.log10(train), recall, bins=(across, up))
    for column, row in np.argwhere(count > 0).tolist():
        level = min(4, int(5 * np.log1p(count[column, row]) / np.log1p(count.max() + 1)))
        left, right = 10 ** across[column], 10 ** across[column + 1]
        axes.fill_between([left, right], 100 * up[row], 100 * up[row + 1], color=HEAT[level], linewidth=0)
    _median(axes, band)
    return figure


def shares(labels: Sequence[str], parts: Sequence[Sequence[float]], names: Sequence[str]) -> Figure:
    """Stacked shares of classes, one bar a size.

    Args:
        labels: what each bar stands for, from the smallest classes to the largest.
        parts: for each bar its shares in [0, 1], which add up to 1.
        names: what each share means.
    """
    figure = new_figure(height=300)
    axes = figure.add_subplot()
    bottom = np.zeros(len(labels))
    colors = (COLORS["few"], COLORS["heat-2"], COLORS["heat-3"], COLORS["heat-5"])
    for number, name in enumerate(names):
        height = 100 * np.array([part[number] for part in parts])
        axes.bar(
            range(len(labels)), height, bottom=bottom, width=0.86, color=colors[number],
            edgecolor=COLORS["ground"], linewidth=0.6, label=name,
        )  # fmt: skip
        bottom += height
    _percent(axes)
    axes.set_ylim(0, 100)
    axes.set_ylabel("classes")
    axes.set_xlabel("training images of the class")
    step = max(1, len(labels) // 4)
    axes.set_xticks(range(0, len(labels), step), [labels[place] for place in range(0, len(labels), step)])
    figure.legend(
        loc="outside upper left", ncols=2, frameon=False, handlelength=1, columnspacing=1.4, fontsize=TEXT - 1
    )
    return figure


def counts_by_rank(counts: Numbers, groups: Sequence[str], edges: Sequence[float]) -> Figure:
    """Training images of each class, from the largest to the smallest.

    Args:
        counts: (C,) at least 1, falling.
        groups: C of many, medium, few.
        edges: training images at which a group ends.
    """
    figure = new_figure(height=220)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    rank = np.arange(1, len(counts) + 1)
    for group in GROUPS:
        chosen = [place for place, other in enumerate(groups) if other == group]
        if not chosen:
            continue
        left, right = rank[chosen[0]] - 0.5, rank[chosen[-1]] + 0.5
        ends = np.append(rank[chosen] - 0.5, right)
        heights = counts[chosen]
        axes.stairs(heights, ends, baseline=0.8, fill=True, color=COLORS[group], linewidth=0)
        name = f"{group} ({len(chosen):,})"
        axes.text((left + right) / 2, heights.max() * 1.25, name, ha="center", va="bottom")
    axes.set_ylim(0.8, counts.max() * 4)
    axes.set_xlim(0.5, len(counts) + 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("classes, largest first")
    axes.set_ylabel("training images")
    for edge in edges:
        if counts.min() < edge < counts.max():
            axes.axhline(edge, color=COLORS["edge"], linewidth=0.8, linestyle=(0, (2, 2)))
    return figure


def matrix_svg(
    size: int, cells: Sequence[tuple[int, int, int]], largest: int, title: str, description: str
) -> Markup:
    """Errors as a square of cells, true class down, predicted class across; five paths, one a shade.

    Args:
        size: classes.
        cells: (true, predicted, images) of the errors.
        largest: images of the darkest shade.
    """
    paths: list[list[str]] = [[] for _ in range(5)]
    for true, predicted, images in cells:
        level = min(4, int(5 * np.log1p(images - 1) / np.log1p(max(largest - 1, 1))))
        paths[level].append(f"M{predicted} {true}h1v1h-1z")
    filled = "".join(
        f'<path d="{"".join(path)}" style="fill:var(--heat-{level})"/>'
        for level, path in enumerate(paths, 1)
        if path
    )
    return Markup(
        f'<svg viewBox="-0.5 -0.5 {size + 1} {size + 1}" role="img" aria-labelledby="matrix-title" '
        f'aria-describedby="matrix-desc"><title id="matrix-title">{escape(title)}</title>'
        f'<desc id="matrix-desc">{escape(description)}</desc>'
        f'<rect id="matrix-cells" width="{size}" height="{size}" style="fill:var(--panel)"/>'
        f'<path d="M0 0L{size} {size}" style="stroke:var(--grid);stroke-width:.5"/>{filled}'
        '<rect id="matrix-mark" width="1" height="1" visibility="hidden" '
        f'style="fill:none;stroke:var(--few);stroke-width:{size / 100:.2f}"/></svg>'
    )


def _size_axis(axes: Axes, train: Numbers, edges: Sequence[float]) -> None:
    smallest, largest = float(train.min()), float(train.max())
    axes.set_xscale("log")
    axes.set_xlim(smallest / 1.25, largest * 1.25)
    axes.xaxis.set_major_locator(
        LogLocator(
            subs=(1,) if largest / smallest > 1000 else (1, 3) if largest / smallest > 30 else (1, 2, 5)
        )
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training images of the class")
    for edge in edges:
        if smallest < edge < largest:
            axes.axvline(edge, color=COLORS["edge"], linewidth=0.8, linestyle=(0, (2, 2)))


def _percent(axes: Axes) -> None:
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.grid(axis="y", color=COLORS["grid"], linewidth=0.8)


def _median(axes: Axes, band: Sequence[tuple[float, float, float, float]]) -> None:
    """The running median with its quartiles."""
    if len(band) < 2:
        return
    x, low, middle, high = np.array(band).T
    axes.fill_between(x, 100 * low, 100 * high, color=COLORS["edge"], alpha=0.2, linewidth=0, zorder=1)
    axes.plot(x, 100 * middle, color=COLORS["quiet"], linewidth=2, zorder=2)
