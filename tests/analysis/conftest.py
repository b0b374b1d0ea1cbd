"""Pictures looked at without eyes: what of a figure's text is cut or covered."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from longtail.analysis.drawing import Question
from longtail.csv_text import csv_text, rows_of
from longtail.report.style import styled
from run_factory import made_up_run


def text_faults(figure: Figure) -> list[str]:
    """Texts of a figure that reach beyond its edge, or lie upon each other."""
    figure.canvas.draw()
    hidden = _beyond_view(figure)
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden
    ]
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


def _beyond_view(figure: Figure) -> set[Text]:
    """Labels of ticks beyond the view, which are kept and not drawn."""
    found: set[Text] = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.majorTicks, *axis.minorTicks):
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                found |= {tick.label1, tick.label2}
    return found


@pytest.fixture(scope="session")
def answered() -> Callable[..., Path]:
    """Write a run of three classes, many, medium and few, with the given answers."""

    def answered(
        path: Path,
        true: Sequence[int],
        label: Sequence[int],
        votes: Sequence[Sequence[int]] | None = None,
        confidence: Sequence[float] | None = None,
    ) -> Path:
        images = np.bincount(true, minlength=3).tolist()
        made_up_run(path, num_classes=3, images=images, experts=len(votes or [label]))
        names = np.array([f"class {c}" for c in range(3)], dtype=object)
        columns = {
            "path": [f"test/{n}" for n in range(len(true))], "class": names[list(true)], "label": names[list(label)],
            "confidence": confidence or [0.5] * len(true), "agreement": 1.0,
        }  # fmt: skip
        columns |= {f"expert_{m}": names[list(vote)] for m, vote in enumerate(votes or [label], 1)}
        pd.DataFrame(columns).to_parquet(path / "eval/test/predictions.parquet", index=False)
        return path

    return answered


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., Figure]:
    """Draw a question's table, and draw it once more from the CSV file; its text is neither cut nor covered."""

    def drawn(question: Question, table: pd.DataFrame, text: Sequence[str] = ("run",)) -> Figure:
        file = tmp_path / "table.csv"
        file.write_text(csv_text(rows_of(table)), "utf-8")
        again = pd.read_csv(file, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])
        with styled():
            figure, repeated = question.plot(table), question.plot(again)
            assert marks(figure) == marks(repeated)
            assert text_faults(figure) == []
        shown = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        assert (shown < 128).any(axis=-1).mean() > 0.002
        return figure

    return drawn


def marks(figure: Figure) -> list[object]:
    """What is drawn, before it is drawn: lines, marks, bars and texts of each panel."""
    return [
        (
            axes.get_title(loc="left"),
            [np.asarray(line.get_xydata(), dtype=float).round(9).tolist() for line in axes.lines],
            [np.asarray(found.get_offsets(), dtype=float).round(9).tolist() for found in axes.collections],
            [(patch.get_x(), patch.get_height()) for patch in axes.patches if isinstance(patch, Rectangle)],
            [text.get_text() for text in axes.texts],
        )
        for axes in figure.axes
    ]
