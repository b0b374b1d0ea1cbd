"""Accuracy under other class priors, weighed by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from longtail.analysis import shifted_mix
from longtail.analysis.sources import named_runs
from run_factory import made_up_run


def test_shares_fall_from_the_largest_class_or_grow() -> None:
    counts = np.array([9, 100, 9, 1])
    forward = shifted_mix.shares(counts, "forward", 8)
    assert forward / forward[1] == pytest.approx([1 / 2, 1, 1 / 4, 1 / 8])
    backward = shifted_mix.shares(counts, "backward", 8)
    assert backward / backward[3] == pytest.approx([1 / 4, 1 / 8, 1 / 2, 1])
    assert shifted_mix.shares(counts, "uniform", 1).tolist() == [0.25] * 4


def test_accuracy_is_the_weighted_mean_of_recalls(tmp_path: Path, answered: Callable[..., Path]) -> None:
    run = answered(tmp_path / "a", [0, 0, 1, 1, 2, 2], [0, 0, 1, 0, 0, 0])  # recalls 1, 1/2, 0
    table = shifted_mix.compute(named_runs([run]))
    assert len(table) == 11
    assert table["factor"].tolist() == [50, 25, 10, 5, 2, 1, 2, 5, 10, 25, 50]
    accuracy = table.set_index(["mix", "factor"])["accuracy"]
    root = 50**0.5
    assert accuracy["forward", 50] == pytest.approx((1 + 0.5 / root) / (1 + 1 / root + 1 / 50))
    assert accuracy["uniform", 1] == pytest.approx(0.5)
    assert accuracy["backward", 50] == pytest.approx((1 / 50 + 0.5 / root) / (1 + 1 / root + 1 / 50))
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()


def test_a_class_without_images_has_no_share(tmp_path: Path, answered: Callable[..., Path]) -> None:
    run = answered(tmp_path / "a", [0, 0, 2, 2], [0, 0, 2, 0])
    table = shifted_mix.compute(named_runs([run]))
    accuracy = table.set_index(["mix", "factor"])["accuracy"]
    assert accuracy["forward", 50] == pytest.approx((1 + 0.5 / 50) / (1 + 1 / 50))
    assert "1 class without evaluated images left out" in shifted_mix.notes(table)[1]


def test_predictions_for_a_known_mix_are_scored_under_that_mix(
    tmp_path: Path, answered: Callable[..., Path], drawn: Callable[..., Figure]
) -> None:
    run = answered(tmp_path / "a", [0, 0, 1, 1], [0, 0, 0, 0])
    asked = []

    def known(e: object, mixes: np.ndarray) -> np.ndarray:
        asked.append(mixes)
        return np.repeat(
            np.where(mixes[:, 1:2] > mixes[:, :1], 1, 0), 4, axis=1
        )  # always the more frequent class

    runs = named_runs([run])
    table = shifted_mix.compute(runs, {"a": known})
    assert (asked[0][:, 2] == 0).all()  # which is not tested
    known = table[table["prior"] == "known"].set_index(["mix", "factor"])["accuracy"]
    larger = 50**0.5 / (1 + 50**0.5)
    assert known["forward", 50] == pytest.approx(larger)
    assert known["backward", 50] == pytest.approx(larger)
    drawn(shifted_mix, table)


def test_its_picture(tmp_path: Path, drawn: Callable[..., Figure]) -> None:
    runs = [made_up_run(tmp_path / str(n), num_classes=20, seed=n) for n in range(3)]
    assert len(drawn(shifted_mix, shifted_mix.compute(named_runs(runs))).axes) == 1
