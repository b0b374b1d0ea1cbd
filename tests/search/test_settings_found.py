"""What is tried, what is taken, and what ties do."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from longtail.data import LongTailData, load_data
from longtail.engine.display import Display
from longtail.engine.timing import Timing
from longtail.recipe import Recipe, changed, load_recipe, scaled
from longtail.runs.schema import Trial
from longtail.search import Budget, Found, find_settings
from longtail.search.comparing import FEATURES
from longtail.search.find import _too_long, _why
from longtail.search.heads import Choice, Heads
from longtail.search.short_training import Division, OutOfTimeError, divide, fewer

TIMING = Timing(1e-3, 1e-4, images=1, judged=0, final=0, where="1 CPU thread")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    given = {
        "model.name": "resnet8", "model.num_experts": 1, "model.gates": None, "method.name": "balanced_softmax",
        "run.device": "cpu",
    }  # fmt: skip
    return load_recipe("icl-digits", given, epochs=4)[0]


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> LongTailData:
    return load_data(recipe.data)


class Trainings:
    """In the place of short trainings: networks that are right as often as the settings say."""

    def __init__(self, data: LongTailData, accuracy: Mapping[str, float]) -> None:
        self.data, self.accuracy, self.seen = data, accuracy, list[str]()
        self.recipes: list[Recipe] = []
        self.limits: list[float] = []

    def __call__(
        self, recipe: Recipe, data: LongTailData, division: Division, most: float, step: Any
    ) -> Tensor:
        name = (
            (f"rate {recipe.optim.peak_lr:g}" if recipe.model.num_experts == 1 else "experts")
            if recipe.method.name == "balanced_softmax"
            else recipe.method.name
        )
        self.seen.append(name)
        self.recipes.append(recipe)
        self.limits.append(most)
        if self.accuracy.get(name) == -1:
            raise OutOfTimeError
        targets = data.train.targets[torch.from_numpy(division.held)]
        rate = self.accuracy.get(name, 0.5)
        rng = np.random.default_rng(7)
        right = torch.from_numpy(rng.random(len(targets)) < rate)
        said = torch.where(right, targets, (targets + 1) % 10)
        return torch.nn.functional.one_hot(said, 10).float() * 100


def found(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe, data: LongTailData, accuracy: Mapping[str, float],
    given: Mapping[str, Any] = {}, minutes: float = 10.0,
) -> tuple[Found, Trainings]:  # fmt: skip
    trainings = Trainings(data, accuracy)
    monkeypatch.setattr("longtail.search.comparing.judged_logits", trainings)
    for module in ("comparing", "find"):
        monkeypatch.setattr(f"longtail.search.{module}.time_steps", lambda *_: TIMING)
    budget = Budget(minutes, time.monotonic())
    return find_settings(recipe, data, given, budget, Display(1, quiet=True), TIMING), trainings


def test_equal_settings_are_a_tie_and_the_suggestion_stays(monkeypatch, recipe, data) -> None:
    one, trainings = found(monkeypatch, recipe, data, {})
    assert len(trainings.seen) == 5
    assert one.recipe == recipe
    assert {trial.verdict for trial in one.search.trials[1:]} == {"tie"}
    assert [trial.chosen for trial in one.search.trials] == [True] + [False] * (len(one.search.trials) - 1)


def test_what_is_better_beyond_chance_is_taken_once_of_each_kind(monkeypatch, recipe, data) -> None:
    rate = recipe.optim.peak_lr
    accuracy = {f"rate {2 * rate:g}": 0.8, f"rate {rate / 2:g}": 0.97, "experts": 0.97}
    one, _ = found(monkeypatch, recipe, data, accuracy)
    assert one.recipe.optim.peak_lr == pytest.approx(rate / 2)
    assert one.recipe.model.num_experts == 3
    assert one.recipe.method.name == "balanced_softmax"
    assert sum(trial.chosen for trial in one.search.trials) == 2


def test_what_was_asked_for_is_not_tried_otherwise(monkeypatch, recipe, data) -> None:
    given = {"optim.peak_lr": 0.1, "method.name": "balanced_softmax", "model.num_experts": 1}
    one, trainings = found(monkeypatch, recipe, data, {}, given)
    assert trainings.seen == []
    assert one.search.trials == ()
    assert "asked for" in one.search.reasons[0]


def test_what_takes_too_long_is_given_up_and_the_others_are_judged(monkeypatch, recipe, data) -> None:
    one, trainings = found(monkeypatch, recipe, data, {"logit_adjustment": -1})
    assert "logit_adjustment" in trainings.seen
    assert len(one.search.trials) == 4
    assert any(line.startswith("not tried") and "cross-entropy" in line for line in one.search.reasons)


def test_where_nothing_else_was_tried_that_is_said_by_name(monkeypatch, recipe, data) -> None:
    rates = {f"rate {factor * recipe.optim.peak_lr:g}": -1 for factor in (2, 0.5)}
    one, _ = found(monkeypatch, recipe, data, {"logit_adjustment": -1, "experts": -1, **rates})
    assert len(one.search.trials) == 1
    assert not any("is better" in line for line in one.search.reasons)
    named = next(line for line in one.search.reasons if line.startswith("not tried"))
    assert all(word in named for word in ("cross-entropy", "double the rate", "half the rate", "experts"))
    whole, _ = found(monkeypatch, recipe, data, {})
    assert not any(line.startswith("not tried") for line in whole.search.reasons)


def test_little_time_skips_the_search_and_says_so(monkeypatch, recipe, data) -> None:
    one, trainings = found(monkeypatch, recipe, data, {}, minutes=1.0)
    assert trainings.seen == []
    assert "none compared" in one.search.reasons[0]


def test_comparisons_are_no_longer_than_the_run(monkeypatch, recipe, data) -> None:
    _, trainings = found(monkeypatch, recipe, data, {})
    assert {one.optim.epochs for one in trainings.recipes} == {4}


def test_held_out_images_are_training_images_and_not_trained_on(recipe, data) -> None:
    division = divide(data, recipe.data, 0)
    assert not set(division.rows) & set(division.held)
    assert max(*division.rows, *division.held) < len(data.train)
    targets = data.train.targets.numpy()
    assert set(targets[division.held]) <= set(targets[division.rows])
    again = divide(data, recipe.data, 0)
    assert np.array_equal(division.held, again.held)


def test_fewer_images_keep_the_rare_classes(recipe, data) -> None:
    division = divide(data, recipe.data, 0)
    some = fewer(division, data, len(division.rows) // 2, 0)
    targets = data.train.targets.numpy()
    before, after = (np.bincount(targets[d.rows], minlength=10) for d in (division, some))
    assert len(some.rows) < len(division.rows)
    assert np.array_equal(after[before <= 20], before[before <= 20])
    assert after[before.argmax()] < before.max()


def test_a_run_on_features_that_takes_longer_than_is_left_says_so() -> None:
    budget = Budget(5.0, 0.0, now=lambda: 0.0)
    (line,) = _too_long(1000.0, 200.0, budget)
    assert {"13", "5"} <= set(re.findall(r"\d+", line))
    assert _too_long(100.0, 200.0, budget) == []


def test_classifiers_on_features_are_no_change_of_the_suggestion() -> None:
    """What is said of changes that were tried counts changes alone."""
    rows = [
        Trial.model_construct(name=name, gain_low=gain, gain_high=gain)
        for name, gain in (("suggested settings", None), (FEATURES, 0.0))
    ]
    (line,) = _why([], rows, None)
    assert "no time" in line


class Improving(Trainings):
    """Trainings that are as often right as their number of epochs says."""

    def __call__(self, recipe: Recipe, *rest: Any) -> Tensor:
        self.accuracy = {f"rate {recipe.optim.peak_lr:g}": self.by_epochs(recipe.optim.epochs)}
        return super().__call__(recipe, *rest)

    def by_epochs(self, epochs: int) -> float:
        raise NotImplementedError


def against_features(
    monkeypatch: pytest.MonkeyPatch,
    recipe: Recipe,
    data: LongTailData,
    long: float,
    *,
    run: float = 1.0,
    seconds: float | None = None,
    limits: list[float] | None = None,
) -> tuple[Found, list[int]]:
    """Classifiers on features are nearly always right, fine-tunings of 10 epochs or more at the rate `long`.

    A run on features takes `run` seconds, and comparisons may take `seconds`. `limits` gets the seconds that each
    fine-tuning may take.
    """
    recipe, division = scaled(recipe, 30), divide(data, recipe.data, 0)
    frozen = changed(recipe, {"optim.weight_decay": 0.3})
    right = np.random.default_rng(1).random(len(division.held)) < 0.97
    heads = Heads(Choice(frozen, "linear", 1.0), (), len(data.train), division, right, "4 folds", run, 0.0, 0)
    trainings = Improving(data, {})
    trainings.limits = [] if limits is None else limits
    monkeypatch.setattr(trainings, "by_epochs", lambda epochs: long if epochs >= 10 else 0.4)
    monkeypatch.setattr("longtail.search.comparing.judged_logits", trainings)
    timing = replace(
        TIMING, image=30 / (len(data.train) * 3)
    )  # the first of six comparisons has 3 epochs and more
    budget = Budget(10.0, time.monotonic())
    one = find_settings(
        recipe, data, {}, budget, Display(1, quiet=True), timing, heads=heads, seconds=seconds
    )
    return one, [each.optim.epochs for each in trainings.recipes]


def test_fine_tuning_is_given_more_time_before_features_are_chosen(monkeypatch, recipe, data) -> None:
    caught_up, epochs = against_features(monkeypatch, recipe, data, 0.97)
    assert epochs[0] < 10 <= epochs[1]
    assert len(epochs) == 2  # changes that are trained for less are not compared with that
    assert caught_up.recipe.optim.weight_decay != 0.3
    assert any("fine-tuned" in line for line in caught_up.search.reasons)
    assert "trying half the rate" in " ".join(caught_up.search.no_time_for)


def test_features_are_chosen_where_more_time_does_not_help(monkeypatch, recipe, data) -> None:
    one, epochs = against_features(monkeypatch, recipe, data, 0.4)
    assert len(epochs) == 2
    assert one.recipe.optim.weight_decay == 0.3
    assert not one.search.no_time_for  # changes of what is not trained were not missed
    assert all(f"{number} epochs" in one.search.trials[0].how for number in epochs)


@pytest.mark.parametrize(("run", "longer"), [(1.0, True), (550.0, False)])
def test_time_that_a_run_on_features_would_leave_goes_to_fine_tuning_first(
    monkeypatch, recipe, data, run, longer
) -> None:
    one, epochs = against_features(monkeypatch, recipe, data, 0.97, run=run, seconds=50.0)
    assert [number >= 10 for number in epochs] == [False, *[True] * longer]
    assert (one.recipe.optim.weight_decay != 0.3) == longer
    assert any("longer fine-tuning" in what for what in one.search.no_time_for) == (not longer)


@pytest.mark.parametrize("run", [1.0, 250.0, 500.0])
def test_a_longer_training_may_be_late_by_what_a_run_on_features_leaves(
    monkeypatch, recipe, data, run
) -> None:
    limits: list[float] = []
    against_features(monkeypatch, recipe, data, 0.97, run=run, limits=limits)
    short, long = limits  # the first is a third of what is left
    assert long == pytest.approx(short + max(0.0, 2 * short - run), abs=20)


def test_a_longer_training_that_takes_too_long_leaves_what_the_short_one_said(
    monkeypatch, recipe, data
) -> None:
    one, epochs = against_features(monkeypatch, recipe, data, -1)
    assert len(epochs) == 2
    assert one.recipe.optim.weight_decay == 0.3
    how = one.search.trials[0].how
    assert how.startswith(f"{epochs[0]} epochs")
    assert "given up" in how
    assert any(how in line for line in one.search.reasons)
