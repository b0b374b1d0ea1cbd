"""Pictures looked at without eyes: what of a figure's text is cut or covered."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from longtail.analysis.drawing import Question
from longtail.csv_text import csv_text, rows_of
from longtail.report.style import styled


def text_faults(figure: Figure) -> list[str]:
    """Texts of a figure that reach beyond its edge, or lie upon each other."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and _is_shown(text)]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    edge = figure.bbox
    cut = [
        f"cut: {name!r}"
        for name, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > edge.x1 + 1 or box.y1 > edge.y1 + 1
    ]
    covered = [
        f"{a!r} and {b!r}"
        for (a, one), (b, two) in combinations(boxes, 2)
        if one.padded(-1).overlaps(two.padded(-1))
    ]
    return cut + covered


def _is_shown(text: Text) -> bool:
    axes = text.axes
    if not text.get_visible() or (axes is not None and not axes.axison):
        return False
    if axes is None:
        return True
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.majorTicks, *axis.minorTicks):  # ticks beyond the view are kept and not drawn
            if text in (tick.label1, tick.label2):
                return bool(low - 1e-9 <= tick.get_loc() <= high + 1e-9)
    return True


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., Figure]:
    """Draw a question's table, and draw it once more from the CSV file; its text is neither cut nor covered."""

    def drawn(question: Question, table: pd.DataFrame, text: Sequence[str] = ("run",)) -> Figure:
        file = tmp_path / "table.csv"
        file.write_text(csv_text(rows_of(table)), "utf-8")
        again = pd.read_csv(file, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])
        with styled():
            figure, repeated = question.plot(table), question.plot(again)
            assert text_faults(figure) == []
            repeated.canvas.draw()
        shown, other = (np.asarray(each.canvas.buffer_rgba())[..., :3] for each in (figure, repeated))
        assert (shown < 128).any(axis=-1).mean() > 0.002
        assert (shown == other).all()
        return figure

    return drawn
