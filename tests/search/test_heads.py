"""Classifiers on features in a search: when there are none, at which size, and when a run trains them."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from longtail.data import LongTailData, load_data
from longtail.engine.display import Display
from longtail.engine.timing import Timing
from longtail.recipe import Recipe, changed, load_recipe
from longtail.recipe.suggest.sizes import largest_size
from longtail.search import Budget, Found, find_settings
from longtail.search.heads import Choice, Heads, at_size, frozen
from longtail.search.short_training import divide

FAST = Timing(1e-3, 1e-4, images=1, judged=0, final=0, where="1 CPU thread")
SLOW = Timing(0.11, 1e-4, images=1, judged=0, final=0, where="1 CPU thread")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("finetune", {"data.path": "photos"}, epochs=10)[0]


@pytest.fixture(scope="module")
def data() -> LongTailData:
    return load_data(load_recipe("icl-digits")[0].data)


def heads(data: LongTailData, recipe: Recipe, accuracy: float, tau: float = 1.0) -> Heads:
    division = divide(data, load_recipe("icl-digits")[0].data, 0)
    right = np.random.default_rng(1).random(len(division.held)) < accuracy
    on_features = frozen(recipe, {})
    assert isinstance(on_features, Recipe)
    best = Choice(on_features, "balanced softmax", tau)
    return Heads(best, (), len(data.train), division, right, "4 folds", 5.0, 0.01, len(data.train))


def found(
    monkeypatch: pytest.MonkeyPatch, data: LongTailData, recipe: Recipe, best: Heads, timing: Timing = FAST,
    minutes: float = 10.0, rate: float = 0.5,
) -> tuple[Found, list[Recipe]]:  # fmt: skip
    """What is found where every fine-tuning is right so often."""
    seen: list[Recipe] = []

    def judged(one: Recipe, data: LongTailData, *_: object) -> Tensor:
        seen.append(one)
        targets = data.train.targets[torch.from_numpy(best.division.held)]
        right = torch.from_numpy(np.random.default_rng(7).random(len(targets)) < rate)
        return torch.nn.functional.one_hot(torch.where(right, targets, (targets + 1) % 10), 10).float() * 100

    monkeypatch.setattr("longtail.search.comparing.judged_logits", judged)
    for module in ("comparing", "find"):
        monkeypatch.setattr(f"longtail.search.{module}.time_steps", lambda *_: timing)
    monkeypatch.setattr("longtail.search.comparing.divide", pytest.fail)
    budget = Budget(minutes, time.monotonic())
    return find_settings(recipe, data, {}, budget, Display(1, quiet=True), timing, heads=best), seen


def test_better_classifiers_on_features_are_trained_and_no_change_is_tried(monkeypatch, data, recipe) -> None:
    best = heads(data, recipe, 0.95)
    one, seen = found(monkeypatch, data, recipe, best)
    assert one.recipe == best.best.recipe
    assert len(seen) == 1
    assert [trial.chosen for trial in one.search.trials] == [False, True]
    assert one.search.estimate == pytest.approx(5.0 + 0.01 * len(data.test or ()))


def test_better_fine_tuning_is_trained(monkeypatch, data, recipe) -> None:
    one, seen = found(monkeypatch, data, recipe, heads(data, recipe, 0.3), rate=0.95)
    assert not one.recipe.model.frozen
    assert len(seen) > 1
    assert one.search.trials[0].chosen
    assert not one.search.trials[-1].chosen


def test_a_tie_goes_to_fine_tuning_where_there_is_time_and_to_features_where_not(
    monkeypatch, data, recipe
) -> None:
    best = heads(data, recipe, 0.5)
    assert not found(monkeypatch, data, recipe, best)[0].recipe.model.frozen
    one, _ = found(monkeypatch, data, recipe, best, SLOW, minutes=6.0)
    assert one.search.trials
    assert one.recipe.model.frozen
    assert "tie" in one.search.reasons[0]


def test_features_are_the_answer_where_nothing_else_fits(monkeypatch, data, recipe) -> None:
    best = heads(data, recipe, 0.1)
    one, seen = found(monkeypatch, data, recipe, best, minutes=1.0)
    assert one.recipe == best.best.recipe
    assert seen == []
    assert "not compared" in one.search.reasons[0]


def test_the_strength_that_is_best_on_features_is_tried_in_fine_tuning(monkeypatch, data, recipe) -> None:
    _, seen = found(monkeypatch, data, recipe, heads(data, recipe, 0.5, tau=0.5))
    settings = [(one.method.name, getattr(one.method, "tau", None)) for one in seen]
    assert ("balanced_softmax", 0.5) in settings


def test_there_are_no_features_of_random_weights_or_where_something_else_was_asked_for(recipe) -> None:
    assert isinstance(frozen(recipe, {"data.image_size": 96}), Recipe)
    assert "random weights" in str(frozen(changed(recipe, {"model.pretrained": False}), {}))
    assert "method.name" in str(frozen(recipe, {"method.name": "ldam"}))


def test_features_are_of_smaller_images_where_the_time_is_short(recipe) -> None:
    large = changed(recipe, {"data.image_size": 224})
    timing = Timing(0.1, 0.01, images=1000, judged=0, final=0, where="")
    assert at_size(large, timing, {}, 11.0) == (large, 0.01, [])
    smaller, each, cuts = at_size(large, timing, {}, 6.0)
    assert smaller.data.image_size == 160
    assert each == pytest.approx(0.01 * (160 / 224) ** 2)
    assert len(cuts) == 1
    assert at_size(large, timing, {}, 0.1)[0].data.image_size == 96
    assert at_size(large, timing, {"data.image_size": 224}, 0.1)[0] == large


@pytest.mark.parametrize(
    ("val", "test", "judged", "final"), [(30, 70, 30, 130), (30, 0, 30, 30), (0, 70, 70, 0), (0, 0, 0, 0)]
)
def test_features_of_an_image_are_counted_once(
    data: LongTailData, recipe: Recipe, val: int, test: int, judged: int, final: int
) -> None:
    timing = Timing(0.1, 0.02, 100, judged, final, "")
    assert timing.tested == val + test
    found = replace(heads(data, recipe, 0.9), seconds=1.0, compute=0.02, stored=40)
    assert found.run_seconds(timing) == pytest.approx(1 + 0.02 * (60 + val + test))


@pytest.mark.parametrize(
    ("side", "size"), [(8, 128), (16, 128), (20, 160), (32, 224), (500, 224), (None, 224)]
)
def test_small_images_are_enlarged_for_features_as_much_as_without_a_search(
    side: int | None, size: int
) -> None:
    assert largest_size("tf_efficientnet_lite0", side) == size
