"""Seconds of a recipe on this machine, from its own steps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny

from longtail.data import load_data
from longtail.engine import step
from longtail.engine import timing as timed
from longtail.engine.timing import time_steps


def test_a_run_takes_its_steps_and_its_evaluations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a clock that moves by a second whenever it is read, the figures are known."""
    clock = iter(range(10_000))
    monkeypatch.setattr(timed, "_now", lambda: float(next(clock)))
    monkeypatch.chdir(tmp_path)
    recipe = tiny(method__name="cross_entropy", model__num_experts=1)
    data = load_data(recipe.data)
    found = time_steps(recipe, data)
    assert found.image == pytest.approx(1 / 32, rel=0.15)  # a second a step of a batch of 32
    assert found.images == len(data.train)
    assert found.judged == len(data.val or data.test or ())
    assert not list(tmp_path.iterdir())


def test_fitting_the_first_classifiers_counts_once_and_by_the_images_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, fitted = iter(range(10_000)), list[int]()
    monkeypatch.setattr(timed, "_now", lambda: float(next(clock)))
    monkeypatch.setattr(step, "fit_heads", lambda *_: fitted.append(1))
    recipe = tiny(
        method__name="cross_entropy", model__num_experts=1, model__head="linear", optim__fitted_heads=True
    )
    data = load_data(recipe.data)
    found = time_steps(recipe, data)
    assert len(fitted) == 1
    assert found.beginning == pytest.approx(1)
    plain = replace(found, fitting=0.0)
    assert found.run(4) == pytest.approx(plain.run(4) + 1)
    half = data.train.take(torch.arange(len(data.train) // 2))
    assert timed.of_data(found, replace(data, train=half)).beginning == pytest.approx(0.5, rel=0.05)


def test_evaluations_count_as_often_as_they_are_made() -> None:
    one = timed.Timing(0.1, 0.01, images=10, judged=100, final=50, where="CPU")
    assert one.run(4, 0) == pytest.approx(4 + 1 + 0.5)
    assert one.run(4, 1) == pytest.approx(4 + 4 + 0.5)
    assert replace(one, judged=0, final=0).run(4, 1) == pytest.approx(4)
