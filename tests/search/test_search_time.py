"""All comparisons of a search share one deadline; features of training images are counted apart."""

from types import SimpleNamespace

import numpy as np
import pytest

from longtail.engine.display import Display
from longtail.engine.timing import Timing
from longtail.recipe import load_recipe
from longtail.recipe.plan import Plan
from longtail.search import command
from longtail.search.budget import Budget
from longtail.search.heads import Choice, Heads
from longtail.search.short_training import Division


class Searched(Exception):
    """The search has come to its last comparison."""


@pytest.mark.parametrize("features", [0.0, 200.0])
@pytest.mark.parametrize("slower", [1.0, 1.8])
def test_all_comparisons_together_take_a_third(monkeypatch, features, slower) -> None:
    clock, compared, said = SimpleNamespace(now=0.0), list[float](), list[str]()
    recipe = load_recipe("finetune", {"data.path": "photos", "data.image_size": 64})[0]
    timing = Timing(0.01, 0.001, images=1000, judged=0, final=0, where="")

    def take(seconds: float) -> None:
        compared.append(seconds)
        clock.now += seconds

    def choose_fit(*given: object) -> tuple[str, list[str]]:
        take(slower * given[4])
        return "crop", []

    def compare_heads(*given: object) -> Heads:
        clock.now += features
        take(slower * given[3])
        nothing = Division(np.arange(1), np.arange(0))
        best = Choice(recipe, "", 1.0)
        return Heads(best, (), 0, nothing, np.zeros(0, bool), "", 0.0, 0.0, 0, computing=features)

    def find_settings(*_: object, seconds: float, **__: object) -> None:
        take(seconds)
        raise Searched

    for one in (choose_fit, compare_heads, find_settings):
        monkeypatch.setattr(command, one.__name__, one)
    monkeypatch.setattr(command, "probe", lambda *_: timing)
    monkeypatch.setattr(command, "affordable", lambda recipe, timing, *_: (recipe, timing, []))
    monkeypatch.setattr(command, "data_of", lambda *_: None)
    planned, shown = Plan(recipe, ()), Display(1, quiet=True)
    monkeypatch.setattr(shown, "say", said.append)
    budget = Budget(15.0, 0.0, now=lambda: clock.now)
    with pytest.raises(Searched):
        command.search(planned, {"data.image_size": 64}, budget, None, shown, pytest.fail, pytest.fail)
    assert sum(compared) <= 15 * 60 / 3
    assert compared[-1] > 0 or slower > 1
    assert any("apart" in line for line in said)
