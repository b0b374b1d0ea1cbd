"""A contact sheet: a row an image, with the image, a heat map for each expert, and what is said of it."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
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
CELL, GAP, WORDS, EDGE, CAPTION, HEAD, LINE = 1.6, 0.14, 2.5, 0.3, 0.3, 0.69, 0.17  # inches
LEGEND = 1.7  # inches beside the title
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
    figure = Figure(figsize=(width, 1), facecolor="white", dpi=DOTS)
    FigureCanvasAgg(figure)
    note = _lines(_note(explanations[0]), width - 2 * EDGE, 9.0)
    head = HEAD + len(note) * LINE
    height = head + len(explanations) * row + EDGE
    figure.set_size_inches(width, height)
    _head(figure, title, note, width, height)
    for number, explanation in enumerate(explanations):
        top = height - head - number * row
        _row(figure, explanation, top, width, height)
    return figure


def _note(e: Explanation) -> str:
    height, width = e.maps.shape[-2:]
    who = "the network" if len(e.votes) == 1 else "this expert"
    return (
        f"Bright: where {who} sees evidence for the class. "
        f"Each map has {height} x {width} places and is scaled to its brightest. Taken from {e.layer}."
    )


def _head(figure: "Figure", title: str, note: Sequence[str], width: float, height: float) -> None:
    kept = _fitting(title, width - 2 * EDGE - LEGEND, 13.0, "bold")
    figure.text(EDGE / width, 1 - 0.3 / height, kept, size=13, weight="bold", va="center")
    for number, line in enumerate(note):
        figure.text(EDGE / width, 1 - (0.58 + number * LINE) / height, line, size=9, color=QUIET, va="center")
    left, length, y = width - EDGE - 1.1, 0.7, height - 0.3
    bar = figure.add_axes((left / width, (y - 0.06) / height, length / width, 0.12 / height))
    bar.imshow(colors()[None], aspect="auto")
    bar.set_axis_off()
    figure.text((left - 0.06) / width, y / height, "less", size=8, color=QUIET, ha="right", va="center")
    figure.text((left + length + 0.06) / width, y / height, "more", size=8, color=QUIET, va="center")


def _row(figure: "Figure", e: Explanation, top: float, width: float, height: float) -> None:
    picture = fit(e.picture, PIXELS)
    heats = [overlay(picture, heat) for heat in e.maps]
    votes = [(f"expert {n}: {vote}", vote != e.label) for n, vote in enumerate(e.votes, 1)]
    captions = [("image", False), *(votes if len(votes) > 1 else [("map", False)])]
    bottom = top - CAPTION - CELL
    for column, (pixels, (caption, differs)) in enumerate(zip([picture, *heats], captions, strict=True)):
        left = EDGE + WORDS + column * (CELL + GAP)
        axes = figure.add_axes((left / width, bottom / height, CELL / width, CELL / height))
        _show(axes, pixels)
        figure.text(
            left / width, (bottom + CELL + 0.07) / height, _fitting(caption, CELL, 8.0, "bold"), size=8,
            color=INK if differs else QUIET, weight="bold" if differs else "normal",
        )  # fmt: skip
        if column and not bool(e.maps[column - 1].any()):
            axes.text(0.5, 0.5, "no evidence", transform=axes.transAxes, ha="center", color="white", size=8)
    _words(figure, e, EDGE / width, (bottom + CELL) / height, 0.19 / height)


def _words(figure: "Figure", e: Explanation, left: float, top: float, line: float) -> None:
    right = "" if e.actual is None else ("right" if e.actual == e.label else f"labelled {e.actual}")
    agree = sum(vote == e.label for vote in e.votes)
    votes = f", {agree} of {len(e.votes)} votes" if len(e.votes) > 1 else ""
    said = [
        (e.label, INK, "bold", 10.5),
        (f"confidence {e.confidence:.2f}{votes}", INK, "normal", 9.0),
        (right, INK, "normal", 9.0),
        ("" if e.shown == e.label else f"maps for {e.shown}", INK, "normal", 9.0),
        (e.chosen or "", QUIET, "normal", 8.0),
        (PurePath(e.path).name, QUIET, "normal", 8.0),
    ]
    for number, (whole, color, weight, size) in enumerate(entry for entry in said if entry[0]):
        text = _fitting(whole, WORDS - 2 * GAP, size, weight)
        figure.text(left, top - number * line * 1.1, text, color=color, weight=weight, size=size, va="top")


def _show(axes: "Axes", pixels: torch.Tensor) -> None:
    axes.imshow(pixels.permute(1, 2, 0).numpy(), interpolation="antialiased")
    axes.set_axis_off()


def _fitting(text: str, inches: float, size: float, weight: str) -> str:
    """The text in one line of that width, its middle left out where it is longer."""
    whole = " ".join(text.split()).encode("utf-8", "replace").decode()
    if _inches(whole, size, weight) <= inches:
        return whole
    ends = [f"{whole[:half]}…{whole[-half:]}" if half else "…" for half in range(max(1, len(whole) // 2))]
    return ends[bisect_right(ends, inches, lo=1, key=lambda shown: _inches(shown, size, weight)) - 1]


def _lines(text: str, inches: float, size: float) -> list[str]:
    """The words of a text in lines of that width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _inches(longer, size, "normal") > inches:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _inches(text: str, size: float, weight: str) -> float:
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size, weight=weight)
    wide, *_ = _renderer().get_text_width_height_descent(text, font, False)
    return float(wide) / DOTS


@cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DOTS)  # type: ignore[no-untyped-call]
