"""plots/per_class.png: does it fail on rare classes? Recall of each class against its training images."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox

from longtail.printable import printable
from longtail.report.facts.class_rows import Classes
from longtail.report.style import (
    GROUP_COLORS,
    GROUP_MARKS,
    INK,
    QUIET,
    RULE,
    new_figure,
    percent_axis,
    save,
    styled,
)
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.runs.run import Run

ALL_NAMED = 30  # up to that many classes each is named; above only the weakest
WEAKEST = 5


def plot_classes(run: Run, found: Classes | None) -> str | None:
    """Draw the evaluation into plots/per_class.png; None where there is none.

    Args:
        run: its per_class.csv is drawn.
        found: the classes as ranked; None where none was tested.
    """
    classes = run.table("per_class")
    if classes is None or found is None:
        return None
    tested = classes[classes["test_images"] > 0]
    with styled():
        figure = new_figure(7.2, 4.6)
        axes = figure.add_subplot()
        _frame(axes, tested, len(classes) - len(tested), run)
        for group in GROUPS:
            _group(axes, tested[tested["group"] == group], group)
        place = {row.name: place for place, row in enumerate(found.rows)}
        enough = tested[tested["test_images"] >= ENOUGH]
        weakest = enough.sort_values("class", key=lambda names: names.map(place)).head(WEAKEST)
        named = tested if len(tested) <= ALL_NAMED else weakest
        legend = axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3, frameon=False, fontsize=8,
            borderaxespad=0.2, handletextpad=0.1, columnspacing=1.2,
        )  # fmt: skip
        legend.set_in_layout(False)
        figure.canvas.draw()
        columns = (named["train_images"].astype(float), 100 * named["recall"], named["class"])
        name_points(axes, list(zip(*columns, strict=True)))
        return save(figure, RunFolder(run.path), layout.CLASS_PLOT)


def _frame(axes: Axes, tested: pd.DataFrame, untested: int, run: Run) -> None:
    smallest, largest = tested["train_images"].min(), tested["train_images"].max()
    part = run.part
    title = f"Recall on {part} images by class size (bands: means)\n{printable(str(run))}"
    axes.set_title(title, fontsize=10, color=QUIET, fontweight="normal", pad=24)
    axes.set_xscale("log")
    axes.set_xlim(smallest / 1.25, largest * 1.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    thin = f" (hollow: fewer than {ENOUGH} {part} images)" if (tested["test_images"] < ENOUGH).any() else ""
    unseen = f"; {untested} without {part} images not shown" if untested else ""
    axes.set_xlabel(f"training images of the class{thin}{unseen}")
    percent_axis(axes)
    data = run.recipe["data"]
    for edge in (data["few_below"] - 0.5, data["many_above"] + 0.5):
        if smallest < edge < largest:
            axes.axvline(edge, color=RULE, linewidth=0.8, linestyle=(0, (2, 2)))


def _group(axes: Axes, classes: pd.DataFrame, group: str) -> None:
    """The group's classes, and a line at the mean of their recalls."""
    if classes.empty:
        return
    color, mark = GROUP_COLORS[group], GROUP_MARKS[group]
    for thin, part in classes.groupby(classes["test_images"] < ENOUGH):
        axes.scatter(
            part["train_images"], 100 * part["recall"], s=30, marker=mark,
            facecolors="white" if thin else color, edgecolors=color if thin else "white",
            linewidths=1.2 if thin else 0.5, zorder=3, clip_on=False,
        )  # fmt: skip
    images, mean = classes["train_images"], 100 * classes["recall"].mean()
    axes.hlines(
        mean, images.min() / 1.08, images.max() * 1.08, color=color, linewidth=5, alpha=0.25, zorder=1
    )
    noun = "class" if len(classes) == 1 else "classes"
    axes.scatter(
        [], [], marker=mark, color=color, s=30, label=f"{group}: {len(classes)} {noun}, mean {mean:.0f} %"
    )


def name_points(
    axes: Axes,
    points: Sequence[tuple[float, float, str]],
    *,
    size: int = 8,
    color: str = INK,
    avoid: Sequence[Bbox] = (),
) -> None:
    """Write each name beside its point, on the first side where it covers no other name and no point."""
    marks = [axes.transData.transform((x, y)) for x, y, _ in points]
    taken = [*avoid, *(Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in marks)]
    sides = [
        ((0, 6), "center", "bottom"),
        ((0, -6), "center", "top"),
        ((7, 0), "left", "center"),
        ((-7, 0), "right", "center"),
    ]
    for x, y, name in points:
        short = printable(name if len(name) <= 20 else name[:19] + "…")
        for offset, ha, va in sides:
            text = axes.annotate(
                short,
                (x, y),
                offset,
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=size,
                color=color,
                zorder=4,
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            frame = axes.bbox
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
