"""Recall against class size: what a row of each level says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from longtail.analysis import class_size
from longtail.analysis.sources import named_runs
from longtail.metrics.intervals import macro_interval
from longtail.runs import RunFolder
from run_factory import ODD_NAMES, UNEVEN, made_up_run


def test_a_seed_folder_alone_is_named_with_its_row(tmp_path: Path) -> None:
    for folder in ("icl/seed-0", "seeds"):
        RunFolder(tmp_path / folder).set_status("done", epoch=1, epochs=1)
    assert list(named_runs([tmp_path / "icl" / "seed-0"])) == ["icl/seed-0"]
    assert list(named_runs([tmp_path / "seeds"])) == ["seeds"]


def test_classes_and_groups_by_hand(tmp_path: Path, answered: Callable[..., Path]) -> None:
    true, label = [0] * 4 + [1] * 4 + [2] * 2, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]
    table = class_size.compute(named_runs([answered(tmp_path / "a", true, label)]))
    classes = table[table["level"] == "class"].set_index("name")
    assert classes["recall"].tolist() == [0.75, 0.5, 0]
    assert classes["train_images"].tolist() == [500, 50, 5]
    assert classes.loc["class 0", ["low", "high"]].tolist() == pytest.approx([0.3006, 0.9544], abs=1e-4)
    groups = table[table["level"] == "group"].set_index("name")
    assert groups["recall"].tolist() == [0.75, 0.5, 0]
    assert set(table["level"]) == {"class", "group"}


def test_many_classes_are_put_into_sets_of_about_one_size(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "a", num_classes=30, images=[0, 5] * 15)
    table = class_size.compute(named_runs([run]))
    assert (table["level"] == "set").sum() == 0  # 15 tested classes are shown one by one
    run = made_up_run(tmp_path / "b", num_classes=60, images=[0, 5] * 30)
    table = class_size.compute(named_runs([run]))
    sets, classes = table[table["level"] == "set"], table[table["level"] == "class"]
    assert (len(sets), sets["classes"].sum(), sets["test_images"].sum()) == (8, 30, 150)
    assert sets["train_images"].is_monotonic_decreasing
    first = classes[classes["test_images"] > 0].head(4)
    assert sets.iloc[0]["recall"] == pytest.approx(first["recall"].mean())
    correct = (first["recall"] * first["test_images"]).to_numpy()
    ends = macro_interval(correct, first["test_images"].to_numpy(dtype=float))
    assert sets.iloc[0][["low", "high"]].tolist() == pytest.approx(ends)
    assert np.isnan(classes.iloc[0]["recall"])
    assert "30 classes without evaluated images" in class_size.notes(table)[0]


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    odd = made_up_run(tmp_path / "odd", names=ODD_NAMES, images=UNEVEN)
    assert len(drawn(class_size, class_size.compute(named_runs([odd])), ("run", "name")).axes) == 1
    long = tmp_path / "a run whose name is longer than any picture has room for, and then some"
    runs = [odd, made_up_run(long, num_classes=100, images=3), made_up_run(tmp_path / "few", num_classes=2)]
    assert len(drawn(class_size, class_size.compute(named_runs(runs)), ("run", "name")).axes) == 1
