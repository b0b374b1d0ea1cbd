"""A stopped run that is given fewer epochs goes on from where it was, and ends as a run of that length."""

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tiny_runs import state_of, tiny

from longtail.engine.display import Display
from longtail.engine.shortening import finished_epochs, shorten
from longtail.engine.train import fit, training
from longtail.recipe import Recipe, load_recipe
from longtail.runs.folder import RunFolder

STEPS = 3  # of an epoch


@pytest.fixture
def recipe() -> Recipe:
    return tiny(method__name="balanced_softmax", model__num_experts=1, optim__epochs=6)


def stopped(recipe: Recipe, folder: Path, steps: int) -> RunFolder:
    run = RunFolder(folder)
    with closing(training(recipe, run, Display(6, quiet=True))) as passing:
        for _ in range(steps):
            next(passing)
    return run


@pytest.mark.parametrize("epochs", [2, 3])
def test_it_is_resumed_with_what_is_finished_and_ends_after_so_many_epochs(
    recipe: Recipe, tmp_path: Path, epochs: int
) -> None:
    run = stopped(recipe, tmp_path / "run", 2 * STEPS + 1)
    assert finished_epochs(run, recipe) == 2
    before = state_of(run.path)["model"]
    shorter = shorten(run, recipe, epochs)
    assert load_recipe(str(run.path / "recipe.toml"))[0] == shorter
    fit(shorter, str(run.path), resume=True, quiet=True)
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert len(log) == epochs
    assert run.status()["status"] == "done"
    assert run.metrics("test")["macro"] >= 0
    after = state_of(run.path)["model"]
    assert all(torch.equal(after[name], before[name]) for name in before) == (epochs == 2)


def test_the_rate_of_the_rest_is_that_of_the_shorter_run(recipe: Recipe, tmp_path: Path) -> None:
    run = stopped(recipe, tmp_path / "run", 2 * STEPS + 1)
    fit(shorten(run, recipe, 3), str(run.path), resume=True, quiet=True)
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    rates = [epoch["lr"] for epoch in log]
    assert rates[2] < 0.3 * rates[1]


def test_a_run_without_a_finished_epoch_begins_with_the_shorter_schedule(
    recipe: Recipe, tmp_path: Path
) -> None:
    run = stopped(recipe, tmp_path / "run", 1)
    assert finished_epochs(run, recipe) == 0
    shorter = shorten(run, recipe, 1)
    fit(shorter, str(run.path), resume=True, quiet=True)
    assert len((run.path / "log.jsonl").read_text().splitlines()) == 1
