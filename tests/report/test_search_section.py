"""The section on how settings were chosen: what was tried, and what is said where nothing was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from longtail.report import write_page
from longtail.report.section import Facts
from longtail.report.sections.search import compute, content
from longtail.runs import Run, RunFolder, layout
from longtail.runs.schema import Trial
from longtail.search import Search
from run_factory import made_up_run


def trial(name: str, gain: float | None, half: float = 0.02, *, chosen: bool = False) -> Trial:
    ends = (None, None, None) if gain is None else (gain, gain - half, gain + half)
    verdict = "suggested" if gain is None else "better" if gain > half else "tie"
    return Trial(
        name=name, how="3 epochs of 300 images", macro=0.5, low=0.4, high=0.6, gain=ends[0], gain_low=ends[1],
        gain_high=ends[2], seconds=12.0, chosen=chosen, verdict=verdict,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    RunFolder(tmp_path).set_status("running", epoch=1, epochs=2)
    return tmp_path


def written(folder: Path, found: Search) -> Run:
    RunFolder(folder).write_json(layout.SEARCH, found.contents())
    return Run(folder)


def search(run: Run) -> Mapping[str, Any] | None:
    found = compute(Facts(run, {}))
    return None if found is None else content(found)


def test_each_trial_has_a_row_and_a_tie_is_called_one(folder: Path) -> None:
    trials = (
        trial("suggested settings", None),
        trial("half the rate", 0.01),
        trial("three experts", 0.1, chosen=True),
    )
    found = search(
        written(folder, Search(15.0, 200.0, "7 ms an image", 400.0, 8, 240, trials, ("chosen: x",)))
    )
    assert found is not None
    rows = found["table"].rows
    assert [row[0] for row in rows] == ["suggested settings", "half the rate", "three experts"]
    assert "tie" in rows[1][3]
    assert rows[2][3] == "better"
    assert [row[5] for row in rows] == ["no", "no", "yes"]
    assert rows[2][2] == "+10.0 (+8.0 to +12.0)"
    assert "240" in found["about_table"]


def test_without_comparisons_the_reason_is_said(folder: Path) -> None:
    found = search(
        written(folder, Search(1.0, 2.0, "7 ms an image", 4.0, 8, reasons=("none compared: few",)))
    )
    assert found is not None
    assert found["table"] is None
    assert found["sentences"][-1] == "None compared: few."


def test_a_run_without_a_search_has_no_section(folder: Path) -> None:
    assert search(Run(folder)) is None


@pytest.mark.usefixtures("undrawn")
def test_the_best_classifiers_on_features_are_shown_and_the_rest_is_folded(folder: Path) -> None:
    heads = tuple(trial(f"kind {n}", None if n == 0 else -0.01, chosen=n == 0) for n in range(5))
    made = made_up_run(folder / "run")
    run = written(made, Search(15.0, 200.0, "7 ms", 400.0, 8, reasons=("x",), heads=heads, head_images=300))
    found = search(run)
    assert found is not None
    assert [[row[0][-1] for row in part.rows] for part in found["heads"]] == [["0", "1", "2"], ["3", "4"]]
    section = (made / write_page(run)).read_text("utf-8").partition("Classifiers on features</h3>")[2]
    shown, _, folded = section.partition("<details")
    assert "kind 2" in shown
    assert "kind 3" not in shown
    assert "kind 3" in folded.partition("</details>")[0]
