"""How plots look: few colours, distinguishable in print and by the colour-blind; quiet axes; named lines."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from longtail.fonts import FONTS
from longtail.runs.folder import RunFolder

INK, QUIET, RULE, GRID = "#16191D", "#4A525C", "#7A838E", "#E4E7EB"
LINE = "#0B57A4"
GROUP_COLORS = {"many": "#17457F", "medium": "#1F8F82", "few": "#C2410C"}
GROUP_MARKS = {"many": "o", "medium": "D", "few": "^"}
PANEL = (3.6, 2.6)  # inches at 100 dots an inch
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a class may be called a$_$
    "font.size": 9.4,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in this project's style; letters that no font of the machine has become boxes without complaint."""
    known = {font.name for font in fontManager.ttflist}
    fonts = {"font.family": [name for name in FONTS if name in known]}
    with matplotlib.rc_context(STYLE | fonts), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of that many inches that no window and no global state knows."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: RunFolder, name: str) -> str:
    """Write a figure into a folder, as PNG or SVG by the ending of `name`, which is returned."""
    ending = name.rpartition(".")[2]
    metadata = {"png": {"Software": None}, "svg": {"Date": None}}[ending]  # the same run, the same bytes
    with matplotlib.rc_context({"svg.hashsalt": name}):
        folder.write(name, lambda file: figure.savefig(file, format=ending, dpi=200, metadata=metadata))
    return name


def epoch_axis(axes: Axes, epochs: int, edges: Sequence[int], rule: str = RULE, grid: str = GRID) -> None:
    """Epochs 1 to the run's end along x, with a rule where a stage ends."""
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=grid, linewidth=0.8)
    axes.tick_params(length=3)
    for edge in edges:
        axes.axvline(edge + 0.5, color=rule, linewidth=0.8, linestyle=(0, (2, 2)))


def percent_axis(axes: Axes, grid: str = GRID) -> None:
    """Accuracy from 0 to 100 % along y, with room for marks at both ends."""
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.grid(axis="y", color=grid, linewidth=0.8)


def name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], room: float) -> None:
    """Write names right of the axes, at the height of each line's end, moved apart where they would touch.

    Args:
        ends: (height, name, colour) of each line.
        room: least distance between two names, in units of y.
    """
    ordered = sorted(ends)
    heights = [height for height, _, _ in ordered]
    for position in range(1, len(heights)):
        heights[position] = max(heights[position], heights[position - 1] + room)
    top = axes.get_ylim()[1]
    for position in reversed(range(len(heights))):
        ceiling = top if position == len(heights) - 1 else heights[position + 1] - room
        heights[position] = min(heights[position], ceiling)
    for height, (_, name, color) in zip(heights, ordered, strict=True):
        axes.text(
            1.02, height, name, transform=axes.get_yaxis_transform(), color=color, va="center", clip_on=False
        )
