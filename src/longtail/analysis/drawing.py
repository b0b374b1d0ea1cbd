"""What the figures have in common: panels, a title, notes below, and their files."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from longtail.csv_text import rows_of
from longtail.errors import InputError
from longtail.printable import printable
from longtail.report.style import GRID, PANEL, QUIET, new_figure, save, styled
from longtail.runs.folder import RunFolder

LETTERS = 15.5  # characters of 8 points that an inch holds, at the least
LONGEST = 34  # characters of a name in a picture
FORMATS = ("csv", "png", "svg")
PALETTE = ("#0B57A4", "#C2410C", "#1F8F82", "#7B3FA0", "#8A6A00", "#C02876", "#4A525C", "#2E9BD6")
MARKS = ("o", "^", "D", "s", "v", "P", "X", "*")


@runtime_checkable
class Question(Protocol):
    """A file of this package: how its table is drawn, and what the table lacks."""

    def plot(self, table: pd.DataFrame) -> Figure: ...

    def notes(self, table: pd.DataFrame) -> list[str]: ...


def short_name(name: str, longest: int = LONGEST) -> str:
    """A name as a picture shows it; of a long one the end, which tells runs apart.

    >>> short_name("runs/table1/icl/seed-0", 12)
    '…/icl/seed-0'
    """
    shown = printable(name)
    return shown if len(shown) <= longest else f"…{shown[1 - longest :]}"


def new_panels(
    count: int,
    title: str,
    notes: Sequence[str] = (),
    *,
    runs: Sequence[str] = (),
    columns: int = 3,
    size: tuple[float, float] = PANEL,
) -> tuple[Figure, list[Axes]]:
    """Panels in rows, under a title and the names of the runs, and above notes.

    Args:
        count: of panels, at least 1.
        title: one line, broken where it is too long.
        notes: what is to know, a line or more each.
        runs: what each run is called, listed with the colour and the mark of its place.
        columns: most panels in a row.
        size: width and height of a panel in inches; a single one is larger.
    """
    down = -(-count // columns)
    across = -(-count // down)
    scale = 1.4 if count == 1 else 1.0
    width = max(across * size[0] * scale, 4.6)
    heading = textwrap.wrap(printable(title), int(width * LETTERS * 0.8))
    below = [line for note in notes for line in textwrap.wrap(printable(note), int(width * LETTERS))]
    lines = 0.2 * len(heading) + 0.17 * (len(below) + len(runs)) + 0.3
    figure = new_figure(width, down * size[1] * scale + lines)
    if runs:
        _list_runs(figure, "\n".join(heading), runs)
    else:
        figure.suptitle("\n".join(heading), x=0.01, ha="left", color=QUIET, fontsize=10)
    if below:
        figure.supxlabel("\n".join(below), x=0.01, ha="left", color=QUIET, fontsize=8)
    return figure, [figure.add_subplot(down, across, place + 1) for place in range(count)]


def _list_runs(figure: Figure, heading: str, runs: Sequence[str]) -> None:
    """Name the runs under the heading, each with the colour and the mark of its place."""
    handles = [
        Line2D([], [], color=color_of(place), marker=mark_of(place), markersize=5, label=printable(run))
        for place, run in enumerate(runs)
    ]
    legend = figure.legend(
        handles=handles, loc="outside upper left", title=heading, title_fontsize=10, alignment="left",
        frameon=False, fontsize=8, borderpad=0.1,
    )  # fmt: skip
    legend.get_title().set_color(QUIET)


def color_of(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def mark_of(place: int) -> str:
    return MARKS[place % len(MARKS)]


def group_axis(axes: Axes, groups: Sequence[str]) -> None:
    """Groups of classes along x."""
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.tick_params(length=3)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def files_of(name: str) -> list[str]:
    """The files of a figure: its table and its pictures."""
    return [f"{name}.{ending}" for ending in FORMATS]


def check_free(name: str, folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is a file, or that has this figure already.

    Raises:
        InputError: see above.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder; choose another -o")
    there = next((file for file in files_of(name) if (folder / file).exists()), None)
    if there is not None and not overwrite:
        raise InputError(f"{folder / there} exists; choose another -o, or replace it with --overwrite")


def write_figure(question: Question, name: str, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw a figure, and write its table and its pictures, each complete or not at all.

    Raises:
        InputError: the file system refuses.
    """
    out = RunFolder(folder)
    with styled():
        figure = question.plot(table)
        for ending in FORMATS[1:]:
            save(figure, out, f"{name}.{ending}")
    out.write_csv(f"{name}.csv", rows_of(table))
    return [folder / file for file in files_of(name)]
