"""counts.png: how long is the tail? Training images of each class, the largest first."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from longtail.data.audit import Audit
from longtail.printable import printable
from longtail.report.data_text import groups_of
from longtail.report.style import GRID, GROUP_COLORS, GROUP_MARKS, QUIET, RULE, new_figure, save, styled
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.groups import FEW_BELOW, GROUPS, MANY_ABOVE

ALL_NAMED = 40  # up to that many classes are named under the axis; above, the first and the last in words
_LONGEST = 20  # letters of a name


def plot_counts(audit: Audit, folder: RunFolder) -> str:
    """Draw the class sizes of an audit with at least one class into counts.png; returns its name."""
    groups, train = groups_of(audit), audit.counts["train"]
    counts = [train[name] for name in groups]
    with styled():
        figure = new_figure(max(7.2, min(len(counts), ALL_NAMED) * 0.24), 4.4)
        axes = figure.add_subplot()
        size = 26.0 if len(counts) <= ALL_NAMED else 14.0 if len(counts) <= 1000 else 8.0
        for group in GROUPS:
            ranks = [rank for rank, name in enumerate(groups, 1) if groups[name] == group]
            if ranks:
                _points(axes, ranks, [counts[rank - 1] for rank in ranks], group, size=size)
        _count_axis(axes, counts)
        _class_axis(axes, list(groups))
        noun = "images" if audit.is_flat else "training images"
        axes.set_title(
            f"{sum(counts):,} {noun} of {len(counts):,} classes: the largest has {counts[0] / counts[-1]:,.1f} "
            "times the smallest", fontsize=10, color=QUIET, fontweight="normal", pad=24,
        )  # fmt: skip
        axes.set_ylabel(f"{noun} of the class")
        legend = axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3, frameon=False, fontsize=8,
            borderaxespad=0.2, handletextpad=0.1, columnspacing=1.2, markerscale=(26 / size) ** 0.5,
        )  # fmt: skip
        legend.set_in_layout(False)
        return save(figure, folder, layout.COUNTS_PLOT)


def _points(axes: Axes, ranks: Sequence[int], counts: Sequence[int], group: str, *, size: float) -> None:
    """The group's classes, with marks of `size` square points."""
    color, mark = GROUP_COLORS[group], GROUP_MARKS[group]
    said = {"many": f"more than {MANY_ABOVE}", "medium": "in between", "few": f"fewer than {FEW_BELOW}"}
    noun = "class" if len(ranks) == 1 else "classes"
    axes.scatter(
        ranks, counts, marker=mark, color=color, s=size, linewidths=0, zorder=3,
        label=f"{group} ({said[group]}): {len(ranks):,} {noun}", clip_on=False,
    )  # fmt: skip


def _count_axis(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(min(counts) / 1.4, max(counts) * 1.4)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.tick_params(length=3)
    for edge in (FEW_BELOW - 0.5, MANY_ABOVE + 0.5):
        if min(counts) < edge < max(counts):
            axes.axhline(edge, color=RULE, linewidth=0.8, linestyle=(0, (2, 2)))


def _class_axis(axes: Axes, names: Sequence[str]) -> None:
    """Names where there is room for them, else ranks, with the largest and the smallest class in words."""
    count = len(names)
    margin = 0.5 if count <= ALL_NAMED else count / 100
    axes.set_xlim(1 - margin, count + margin)
    if count <= ALL_NAMED:
        turn = 0 if sum(map(len, names)) <= 60 else 60
        axes.set_xticks(range(1, count + 1), [_short(name) for name in names])
        for label in axes.get_xticklabels():
            label.set(rotation=turn, rotation_mode="anchor", ha="right" if turn else "center", fontsize=8)
        return
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(f"classes by size, from {_short(names[0])} to {_short(names[-1])}")


def _short(name: str) -> str:
    return printable(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
