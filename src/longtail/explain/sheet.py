"""A contact sheet: a row an image, with the image, a heat map for each expert, and what is said of it."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

from longtail.explain.explanation import Explanation
from longtail.explain.picture import colors, fit, overlay
from longtail.fonts import FONTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET = "#16191D", "#4A525C"
DOTS = 150  # an inch
CELL, GAP, WORDS, EDGE, CAPTION, HEAD = 1.6, 0.14, 2.5, 0.3, 0.3, 0.85  # inches
PIXELS = 240  # side of an image on the sheet


def write_sheet(explanations: Sequence[Explanation], title: str, file: BinaryIO) -> None:
    """Draw explanations as one PNG picture.

    Args:
        explanations: at least one, all of one run.
        title: what to write above them.
        file: open for writing.
    """
    import warnings

    import matplotlib
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    style: dict[Any, Any] = {
        "font.family": [name for name in FONTS if name in known],
        "text.parse_math": False,  # a class may be called a$_$
        "text.color": INK,
        "font.size": 9,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        _draw(explanations, title).savefig(file, format="png", dpi=DOTS, metadata={"Software": None})


def _draw(explanations: Sequence[Explanation], title: str) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    experts = len(explanations[0].votes)
    columns = max(experts + 1, 3)
    width = 2 * EDGE + WORDS + columns * CELL + (columns - 1) * GAP
    row = CAPTION + CELL + GAP
    height = HEAD + len(explanations) * row + EDGE
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    _head(figure, title, explanations[0].maps.shape[-2:], width, height)
    for number, explanation in enumerate(explanations):
        top = height - HEAD - number * row
        _row(figure, explanation, top, width, height)
    return figure


def _head(figure: "Figure", title: str, places: Sequence[int], width: float, height: float) -> None:
    figure.text(EDGE / width, 1 - 0.3 / height, _short(title, 60), size=13, weight="bold", va="center")
    note = (
        "Bright: where this expert sees evidence for the class. "
        f"Each map has {places[0]} x {places[1]} places and is scaled to its brightest."
    )
    figure.text(EDGE / width, 1 - 0.58 / height, note, color=QUIET, va="center")
    left, length, y = width - EDGE - 1.1, 0.7, height - 0.3
    bar = figure.add_axes((left / width, (y - 0.06) / height, length / width, 0.12 / height))
    bar.imshow(colors()[None], aspect="auto")
    bar.set_axis_off()
    figure.text((left - 0.06) / width, y / height, "less", size=8, color=QUIET, ha="right", va="center")
    figure.text((left + length + 0.06) / width, y / height, "more", size=8, color=QUIET, va="center")


def _row(figure: "Figure", e: Explanation, top: float, width: float, height: float) -> None:
    picture = fit(e.picture, PIXELS)
    heats = [overlay(picture, heat) for heat in e.maps]
    captions = [
        ("image", False),
        *((f"expert {n}: {vote}", vote != e.label) for n, vote in enumerate(e.votes, 1)),
    ]
    bottom = top - CAPTION - CELL
    for column, (pixels, (caption, differs)) in enumerate(zip([picture, *heats], captions, strict=True)):
        left = EDGE + WORDS + column * (CELL + GAP)
        axes = figure.add_axes((left / width, bottom / height, CELL / width, CELL / height))
        _show(axes, pixels)
        figure.text(
            left / width, (bottom + CELL + 0.07) / height, _short(caption, 24), size=8,
            color=INK if differs else QUIET, weight="bold" if differs else "normal",
        )  # fmt: skip
        if column and not bool(e.maps[column - 1].any()):
            axes.text(0.5, 0.5, "no evidence", transform=axes.transAxes, ha="center", color="white", size=8)
    _words(figure, e, EDGE / width, (bottom + CELL) / height, 0.19 / height)


def _words(figure: "Figure", e: Explanation, left: float, top: float, line: float) -> None:
    right = "" if e.actual is None else ("right" if e.actual == e.label else f"labelled {e.actual}")
    agree = sum(vote == e.label for vote in e.votes)
    said = [
        (_short(e.label, 26), INK, "bold", 10.5),
        (f"confidence {e.confidence:.2f}, {agree} of {len(e.votes)} votes", INK, "normal", 9),
        (_short(right, 34), INK, "normal", 9),
        ("" if e.shown == e.label else _short(f"maps for {e.shown}", 34), INK, "normal", 9),
        (e.chosen or "", QUIET, "normal", 8),
        (_short(PurePath(e.path).name, 36), QUIET, "normal", 8),
    ]
    for number, (text, color, weight, size) in enumerate(entry for entry in said if entry[0]):
        figure.text(left, top - number * line * 1.1, text, color=color, weight=weight, size=size, va="top")


def _show(axes: "Axes", pixels: torch.Tensor) -> None:
    axes.imshow(pixels.permute(1, 2, 0).numpy(), interpolation="antialiased")
    axes.set_axis_off()


def _short(text: str, length: int) -> str:
    """The text in one line, its middle left out where it is long."""
    text = " ".join(text.split()).encode("utf-8", "replace").decode()
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"
