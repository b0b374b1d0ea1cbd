"""Calibration by group of classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from longtail.analysis import calibration
from longtail.analysis.sources import named_runs
from longtail.runs import Run
from run_factory import made_up_run


def test_errors_by_hand(tmp_path: Path, answered: Callable[..., Path]) -> None:
    true, label, confidence = [0, 0, 1, 2], [0, 0, 0, 1], [0.9, 0.9, 0.5, 0.3]
    run = answered(tmp_path / "a", true, label, confidence=confidence)
    table = calibration.compute(named_runs([run]))
    groups = table[table["level"] == "group"].set_index(["by", "group"])
    assert groups.loc[("predicted", "many"), "images"] == 3
    assert groups.loc[("predicted", "many"), "ece"] == pytest.approx((2 * 0.1 + 0.5) / 3)
    assert groups.loc[("true", "many"), "ece"] == pytest.approx(0.1)
    assert groups.loc[("true", "few"), "ece"] == pytest.approx(0.3)
    assert groups.loc[("true", "all"), ["confidence", "accuracy"]].tolist() == pytest.approx([0.65, 0.5])
    assert calibration.notes(table) == ["a: no evaluated image has a class that was predicted of group few"]


def test_overall_it_is_the_error_of_the_evaluation(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "a", num_classes=10, images=60, temperature=1.5)
    table = calibration.compute(named_runs([run]))
    groups = table[(table["level"] == "group") & (table["group"] == "all")]
    metrics = Run(run).metrics
    assert metrics is not None
    assert groups["ece_uncalibrated"].tolist() == pytest.approx([metrics["ece"]] * 2)
    assert (groups["ece"] != groups["ece_uncalibrated"]).all()


def test_what_chance_gives(tmp_path: Path, answered: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 1, 3000)
    right = rng.random(3000) < confidence
    run = answered(tmp_path / "a", [0] * 3000, np.where(right, 0, 1).tolist(), confidence=confidence.tolist())
    table = calibration.compute(named_runs([run]))
    honest = table[(table["level"] == "group") & (table["by"] == "true")].iloc[0]
    assert honest["ece"] == pytest.approx(honest["ece_by_chance"], abs=0.01)
    assert 0.005 < honest["ece_by_chance"] < 0.04


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    runs = [
        made_up_run(tmp_path / "a", num_classes=10, images=60, temperature=1.5),
        made_up_run(tmp_path / "b", num_classes=10, images=2),
    ]
    assert len(drawn(calibration, calibration.compute(named_runs(runs[:1]))).axes) == 3
    assert len(drawn(calibration, calibration.compute(named_runs(runs))).axes) == 4
