"""A study's grid from its result files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from longtail.analysis import grid
from longtail.types import InputError


def cell(
    folder: Path, settings: Mapping[str, Any], seed: int, overall: float, study: str = "figure4"
) -> Path:
    scores = {"overall": overall, "macro": overall, "many": 0.7, "medium": 0.5, "few": None}
    method = {"name": "icl", **settings}
    value = {
        "table": study, "row": "a row", "paper": None, "command": "longtail bench", "machine": {}, "study": study,
        "key": "row", "settings": {"method": method, "run": {"seed": seed, "threads": seed}},
        "seeds": {str(seed): {"metrics": scores, "seconds": 1.0}},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{study}.{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps(value))
    return file


def place(stop: int, start: int) -> dict[str, int]:
    return {"diversity_stop": stop, "contrastive_start": start}


def test_means_over_seeds(tmp_path: Path) -> None:
    for seed, overall in ((0, 0.5), (1, 0.6)):
        cell(tmp_path / "results", place(30, 120), seed, overall)
    cell(tmp_path / "results", place(0, 20), 0, 0.4)
    cell(tmp_path / "results", place(0, 120), 0, 0.3)
    (tmp_path / "results" / "other.json").write_text("{}")
    table = grid.compute(grid.results_in([tmp_path]))
    assert set(table["x_key"]) == {"method.contrastive_start"}
    assert set(table["score"]) == {"overall", "macro", "many", "medium"}  # no class is few
    overall = table[table["score"] == "overall"]
    assert overall[["x", "y", "seeds"]].to_numpy().tolist() == [[20, 0, 1], [120, 0, 1], [120, 30, 2]]
    assert overall["mean"].tolist() == pytest.approx([0.4, 0.3, 0.55])
    assert overall["sd"].tolist()[2] == pytest.approx(0.005**0.5)
    assert grid.notes(table)[0].startswith("3 places, 1 to 2 seeds each")
    assert "left blank: 1" in grid.notes(table)[1]


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    files = [
        cell(tmp_path, place(stop, start), 0, 0.5 + 0.001 * stop - 0.0007 * start)
        for stop in (0, 30, 180)
        for start in (0, 60, 120, 150, 180)
        if (stop, start) != (30, 60)
    ]
    figure = drawn(grid, grid.compute(grid.results_in(files)), ())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["overall", "many", "medium"]
    assert len(figure.axes[0].texts) == 14
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "0",
        "60",
        "120",
        "150",
        "180",
    ]


def test_what_is_no_grid_is_refused(tmp_path: Path) -> None:
    def refused(*sources: Path) -> str:
        with pytest.raises(InputError) as error:
            grid.compute(grid.results_in(sources))
        return str(error.value)

    files = [cell(tmp_path / "one", place(stop, 120), 0, 0.5) for stop in (0, 30)]
    assert "differ in method.diversity_stop, and" in refused(*files)
    assert "do not differ" in refused(files[0])
    more = cell(tmp_path / "one", place(0, 0) | {"tau": 2.0}, 0, 0.5)
    assert "method.tau" in refused(*files, more)
    many = cell(tmp_path / "two", place(0, 0) | {f"key{number}": 1.0 for number in range(9)}, 0, 0.5)
    assert "method.key0" in refused(files[0], many)
    assert "method.key8" not in refused(files[0], many)
    assert "more, and a grid has exactly two" in refused(files[0], many)
    cell(tmp_path / "one", place(0, 0), 0, 0.5, study="table1")
    assert "figure4, table1" in refused(tmp_path / "one")
    (tmp_path / "empty").mkdir()
    assert "no results" in refused(tmp_path / "empty")
    assert "does not exist" in refused(tmp_path / "nowhere")
