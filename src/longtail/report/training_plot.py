"""plots/training.png: did training go well? Each term of the loss, the rate and the scores over epochs."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from longtail.printable import printable
from longtail.report.sections.training import stage_edges
from longtail.report.style import (
    GROUP_COLORS,
    GROUP_MARKS,
    INK,
    LINE,
    PANEL,
    QUIET,
    epoch_axis,
    name_ends,
    new_figure,
    percent_axis,
    save,
    styled,
)
from longtail.report.text import epoch_range
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.groups import GROUPS
from longtail.runs.run import PART_NAMES, SPLITS, Run

COLUMNS = 3
MARKED = 40  # up to that many points each has a mark
Record = dict[str, Any]


def plot_training(run: Run) -> str | None:
    """Draw the log into plots/training.png; None where fewer than two epochs are finished: a point is no curve."""
    if len(run.log) < 2:
        return None
    every = [name for record in run.log for name in record["loss"]]
    terms = [name for name in dict.fromkeys(every) if every.count(name) > 1]
    rows = math.ceil((3 + len(terms)) / COLUMNS)
    with styled():
        figure = new_figure(COLUMNS * PANEL[0], rows * PANEL[1] + 0.5)
        title = f"Training of {printable(str(run))}; {_stages(run.log)}"
        figure.suptitle(title, x=0.01, ha="left", color=QUIET, fontsize=10)
        panels = [figure.add_subplot(rows, COLUMNS, number + 1) for number in range(3 + len(terms))]
        for axes in panels:
            epoch_axis(axes, int(run.status["epochs"]), stage_edges(run.log))
        _scores(panels[0], run.log)
        _curve(panels[1], "training accuracy", run.log, lambda record: 100 * record["train_accuracy"])
        percent_axis(panels[1])
        _curve(panels[2], "learning rate", run.log, lambda record: record["lr"])
        for axes, term in zip(panels[3:], terms, strict=True):
            _curve(
                axes, f"loss: {term.replace('_', ' ')}", run.log, lambda record, t=term: record["loss"].get(t)
            )
        for axes in panels[-COLUMNS:]:
            axes.set_xlabel("epoch")
        return save(figure, RunFolder(run.path), layout.TRAINING_PLOT)


def _points(log: Sequence[Record], value: Any) -> tuple[list[int], list[float]]:
    pairs = [(record["epoch"] + 1, value(record)) for record in log]
    known = [(epoch, number) for epoch, number in pairs if number is not None]
    return [epoch for epoch, _ in known], [number for _, number in known]


def _curve(axes: Axes, title: str, log: Sequence[Record], value: Any) -> None:
    epochs, values = _points(log, value)
    axes.plot(epochs, values, color=LINE, marker="o" if len(log) <= MARKED else None, markersize=3)
    axes.set_title(title)
    if min(values) >= 0:
        axes.set_ylim(0, 1.05 * max(*values, 1e-6))


def _scores(axes: Axes, log: Sequence[Record]) -> None:
    """Macro, many, medium and few of whichever split was evaluated as epochs passed."""
    split = next((name for name in SPLITS if any(name in record for record in log)), None)
    axes.set_title("not evaluated yet" if split is None else f"macro on {PART_NAMES[split]} images")
    percent_axis(axes)
    if split is None:
        return
    scored, ends = [record for record in log if split in record], []
    for key in ("macro", *GROUPS):
        epochs, values = _points(scored, lambda record, k=key: record[split][k])
        if not values:
            continue
        color = GROUP_COLORS.get(key, INK)
        axes.plot(
            epochs, [100 * value for value in values], color=color,
            linewidth=2.6 if key == "macro" else 1.6, markersize=4,
            marker=GROUP_MARKS.get(key, "s") if len(epochs) <= MARKED else None,
        )  # fmt: skip
        ends.append((100 * values[-1], key, color))
    name_ends(axes, ends, room=9.0)


def _stages(log: Sequence[Record]) -> str:
    """The stages so far, with the epochs of each."""
    stages = []
    for stage in dict.fromkeys(record["stage"] for record in log):
        epochs = [record["epoch"] + 1 for record in log if record["stage"] == stage]
        stages.append(f"{stage} stage: {epoch_range(epochs[0], epochs[-1])}")
    return ", ".join(stages)
