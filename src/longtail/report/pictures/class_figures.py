"""Figures with a mark, a cell or a share for each class."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from longtail.report.class_plot import name_points
from longtail.report.facts.audit import RankedCount
from longtail.report.facts.size import BandPoint, ClassSize, SizeDecile
from longtail.report.pictures.svg import COLORS, TEXT, new_figure
from longtail.report.style import GROUP_MARKS, percent_axis
from longtail.runs.groups import GROUPS

Numbers = NDArray[np.float64]
FREE = 12  # up to that many classes names keep off the whiskers
HEAT = tuple(COLORS[f"heat-{level}"] for level in range(1, 6))


def class_size(size: ClassSize) -> Figure:
    """Recall of each class against its training images, the form "named" or "dots"."""
    figure = new_figure()
    axes = figure.add_subplot()
    train = np.array([point.train_images for point in size.points], dtype=np.float64)
    recall = np.array([point.recall for point in size.points], dtype=np.float64)
    _size_axis(axes, train.min(), train.max(), size.edges)
    percent_axis(axes, COLORS["grid"])
    _median(axes, size.band)
    boxes: list[Bbox] = []
    if size.form == "named":
        train = _side_by_side(train)
        low, high = np.array([point.interval for point in size.points], dtype=np.float64).T
        axes.vlines(train, 100 * low, 100 * high, color=COLORS["edge"], linewidth=1, zorder=2)
    for group in GROUPS:
        chosen = np.array([point.group == group for point in size.points], dtype=bool)
        axes.scatter(
            train[chosen], 100 * recall[chosen], s=26 if len(train) > 60 else 44, marker=GROUP_MARKS[group],
            color=COLORS[group], edgecolors=COLORS["ground"], linewidths=0.6, zorder=3, clip_on=False,
        )  # fmt: skip
    figure.canvas.draw()
    if size.form == "named" and len(train) <= FREE:
        boxes = _whiskers(axes, train, low, high)
    rows, named = zip(train.tolist(), size.points, strict=True), set(size.named)
    points = [(x, 100 * (point.recall or 0.0), point.name) for x, point in rows if point.name in named]
    name_points(axes, points, size=TEXT - 1, color=COLORS["text"], avoid=boxes)
    return figure


def _side_by_side(train: Numbers) -> Numbers:
    """Places along a logarithmic axis at which classes of equal size do not lie on one another."""
    _, which, classes = np.unique(train, return_inverse=True, return_counts=True)
    width = np.log(1.25**2 * train.max() / train.min())
    step = width * np.minimum(0.022, 0.1 / np.maximum(classes[which] - 1, 1))
    rank = np.array([np.count_nonzero(which[:place] == size) for place, size in enumerate(which)])
    return np.asarray(train * np.exp(step * (rank - (classes[which] - 1) / 2)))


def class_size_bins(size: ClassSize) -> Figure:
    """The form "bins", for so many classes that marks would cover each other: darker where more classes lie."""
    figure = new_figure()
    axes = figure.add_subplot()
    ends = [end for cell in size.bins for end in cell.images]
    _size_axis(axes, min(ends), max(ends), size.edges)
    percent_axis(axes, COLORS["grid"])
    most = max(cell.classes for cell in size.bins)
    for cell in size.bins:
        low, high = cell.recall
        axes.fill_between(
            cell.images, 100 * low, 100 * high, color=HEAT[level(cell.classes, most) - 1], linewidth=0
        )
    _median(axes, size.band)
    return figure


def shares(deciles: Sequence[SizeDecile]) -> Figure:
    """The form "shares": how many images of a class are right, stacked, one bar for classes of similar size."""
    figure = new_figure(height=300)
    deciles = sorted(deciles, key=lambda part: part.train_images)
    axes = figure.add_subplot()
    bottom = np.zeros(len(deciles))
    parts = {
        "none right": (COLORS["few"], [part.none for part in deciles]),
        "up to half": (COLORS["heat-2"], [part.up_to_half for part in deciles]),
        "over half": (COLORS["heat-3"], [part.over_half for part in deciles]),
        "all right": (COLORS["many"], [part.all_right for part in deciles]),
    }
    for name, (color, values) in parts.items():
        height = 100 * np.array(values)
        axes.bar(
            range(len(deciles)), height, bottom=bottom, width=0.86, color=color,
            edgecolor=COLORS["ground"], linewidth=0.6, label=name,
        )  # fmt: skip
        bottom += height
    percent_axis(axes, COLORS["grid"])
    axes.set_ylim(0, 100)
    axes.set_ylabel("classes")
    axes.set_xlabel("training images of the class, up to")
    step = max(1, -(-len(deciles) // 5))
    places = range(0, len(deciles), step)
    axes.set_xticks(places, [f"{deciles[place].train_images[1]:,}" for place in places])
    figure.legend(
        loc="outside upper left", ncols=2, frameon=False, handlelength=1, columnspacing=1.4, fontsize=TEXT - 1
    )
    return figure


def counts_by_rank(ranked: Sequence[RankedCount], edges: Sequence[float]) -> Figure:
    """Training images of each class, from the largest to the smallest.

    Args:
        ranked: the classes, most images first.
        edges: training images at which a group ends.
    """
    counts = np.array([max(row.train_images, 1) for row in ranked], dtype=np.float64)
    groups = [row.group for row in ranked]
    figure = new_figure(height=220)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    rank = np.arange(1, len(counts) + 1)
    for group in GROUPS:
        chosen = [place for place, other in enumerate(groups) if other == group]
        if not chosen:
            continue
        left, right = rank[chosen[0]] - 0.5, rank[chosen[-1]] + 0.5
        heights = counts[chosen]
        starts = _steps(heights)
        ends = np.append(left + starts, right)
        axes.stairs(heights[starts], ends, baseline=0.8, fill=True, color=COLORS[group], linewidth=0)
        name = f"{group} ({len(chosen):,})"
        middle, aside = (left + right) / 2, (left + right) / 2 < len(counts) / 8
        place = (0.5, "left") if aside else (middle, "center")
        axes.text(place[0], heights.max() * 1.25, name, ha=place[1], va="bottom")
    axes.set_ylim(0.8, counts.max() * 4)
    axes.set_xlim(0.5, len(counts) + 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
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
        paths[level(images, largest) - 1].append(f"M{predicted} {true}h1v1h-1z")
    filled = "".join(
        f'<path d="{"".join(path)}" style="fill:var(--heat-{shade})"/>'
        for shade, path in enumerate(paths, 1)
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


def _steps(heights: Numbers) -> NDArray[np.int64]:
    """Where a falling curve changes, at most at 200 places: more cannot be seen."""
    changes = np.flatnonzero(np.diff(heights, prepend=np.inf))
    kept = np.linspace(0, len(changes) - 1, min(len(changes), 200)).astype(np.int64)
    return changes[kept]


def level(number: int, most: int) -> int:
    """A shade from 1 (few) to 5 (most), by the logarithm."""
    return 1 + min(4, int(5 * np.log1p(number - 1) / np.log1p(max(most - 1, 1))))


def _size_axis(axes: Axes, smallest: float, largest: float, edges: Sequence[float]) -> None:
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


def _whiskers(axes: Axes, train: Numbers, low: Numbers, high: Numbers) -> list[Bbox]:
    """Where whiskers are, so that no name is written over them."""
    lower = axes.transData.transform(np.column_stack([train, 100 * low]))
    upper = axes.transData.transform(np.column_stack([train, 100 * high]))
    return [Bbox.from_extents(a - 1, b, c + 1, d) for (a, b), (c, d) in zip(lower, upper, strict=True)]


def _median(axes: Axes, band: Sequence[BandPoint]) -> None:
    """The running median with its quartiles."""
    if len(band) < 2:
        return
    x = [point.train_images for point in band]
    low, high = ([100 * getattr(point, end) for point in band] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=COLORS["edge"], alpha=0.2, linewidth=0, zorder=1)
    axes.plot(x, [100 * point.median for point in band], color=COLORS["quiet"], linewidth=2, zorder=2)
