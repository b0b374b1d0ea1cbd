"""From a Matplotlib figure to SVG that lies in the page: its colours follow the page, its ids collide with no other."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from longtail.report.style import styled

WIDTH, HEIGHT, TEXT = 360, 260, 13  # pixels; narrow, so that text stays legible on a telephone
NAMES = (
    "many", "medium", "few", "text", "quiet", "edge", "grid", "ground",
    "heat-1", "heat-2", "heat-3", "heat-4", "heat-5",
)  # fmt: skip
COLORS = {name: f"#fa{number:04x}" for number, name in enumerate(NAMES)}  # stand-ins for the page's variables
_VARIABLES = {color: f"var(--{name})" for name, color in COLORS.items()}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "longtail",
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "axes.edgecolor": COLORS["edge"],
    "axes.labelcolor": COLORS["quiet"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": COLORS["text"],
    "xtick.color": COLORS["edge"],
    "ytick.color": COLORS["edge"],
    "xtick.labelcolor": COLORS["quiet"],
    "ytick.labelcolor": COLORS["quiet"],
    "grid.color": COLORS["grid"],
    "lines.linewidth": 2,
}
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_DROPPED = {f"{_SVG}metadata", f"{_SVG}style"}
_COORDINATES = ("d", "x", "y", "width", "height", "transform", "points")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the page's style."""
    with styled(), matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: int = WIDTH, height: int = HEIGHT) -> Figure:
    """A figure of that many pixels, of which no window and no global state knows."""
    figure = Figure(figsize=(width / 72, height / 72), layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04))
    FigureCanvasSVG(figure)
    return figure


def to_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Write a figure as an `<svg>` element.

    Args:
        figure: drawn with the colours of `COLORS`.
        name: a word that begins each id; unlike that of any other figure of the page.
        title: what the figure shows, in a sentence.
        description: where its numbers are, or what its axes mean.

    Returns:
        The element: no prolog, no metadata, ids and references with the prefix, colours as CSS variables, `<title>`
        and `<desc>` first. The same figure gives the same bytes.
    """
    file = io.StringIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})  # type: ignore[no-untyped-call]
    root = ElementTree.fromstring(file.getvalue())
    _prune(root)
    used = set(re.findall(r"#([\w.-]+)", " ".join(_references(root))))
    for element in root.iter():
        _rewrite(element, name, used)
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "viewBox": f"0 0 {float(width):.0f} {float(height):.0f}",
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "aria-describedby": f"{name}-desc",
    }
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    opening = " ".join(f'{key}="{escape(value)}"' for key, value in root.attrib.items())
    labels = (
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return Markup(f"<svg {opening}>{labels}{body}</svg>")


def _prune(parent: ElementTree.Element) -> None:
    """Remove metadata and style sheets, which would rule the whole page, and what holds nothing."""
    for child in list(parent):
        _prune(child)
        empty = child.tag in (f"{_SVG}defs", f"{_SVG}g") and len(child) == 0
        if child.tag in _DROPPED or empty:
            parent.remove(child)
        child.tail = None
    if len(parent):
        parent.text = None


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == _LINK or "url(#" in value:
                yield value


def _rewrite(element: ElementTree.Element, name: str, used: set[str]) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    attributes = dict(element.attrib)
    element.attrib.clear()
    for key, value in attributes.items():
        if key == "id":
            if value in used:
                element.set("id", f"{name}-{value}")
        elif key == _LINK:
            element.set("href", f"#{name}-{value[1:]}")
        elif key == "style":
            element.set("style", _style(value))
        elif key in _COORDINATES:
            if key != "transform" or not re.match(r"rotate\(-?0 ", value):
                element.set(key, _short(value))
        else:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def _style(value: str) -> str:
    """Declarations without the font, which is the page's, and with variables for colours."""
    kept = [part.strip() for part in value.split(";") if not part.strip().startswith("font-family")]
    return re.sub(r"#fa[0-9a-f]{4}", lambda found: _VARIABLES[found[0]], ";".join(kept)).replace(": ", ":")


def _short(value: str) -> str:
    """Coordinates to a hundredth of a pixel."""
    rounded = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    return " ".join(rounded.replace("-0 ", "0 ").split())
