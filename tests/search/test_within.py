"""The time is looked at again and again: a run on a machine that gets slower keeps to its budget."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from longtail.engine.timing import Timing
from longtail.recipe import Recipe, load_recipe
from longtail.search import Budget, Found, Search
from longtail.search.within import Watch

STEPS, IMAGES, STEP = 10, 640, 1.0  # seconds of a step as timed


@dataclass
class Machine:
    """A clock, and a run that takes as long as `slowness` says of the time that has passed."""

    slowness: Callable[[float], float]
    minutes: float = 10.0
    now: float = 0.0
    cuts: int = 0
    lost: int = 0  # steps
    said: float = 0.0  # seconds of the run, by the last cut

    def train(self, recipe: Recipe) -> int:
        """Trains as `fit_within` does; returns the epochs of the run."""
        timing = Timing(STEP * STEPS / IMAGES, 0.0, images=IMAGES, judged=0, final=0, where="")
        search = Search(self.minutes, 0.0, "", 0.0, recipe.optim.epochs)
        budget, done = Budget(self.minutes, 0.0, now=lambda: self.now), 0
        epochs = recipe.optim.epochs
        while True:
            one = Found(load_recipe("finetune", epochs=epochs)[0], search, timing)
            watch, cut = Watch(one, budget, done), None
            step = 0
            for step in range((epochs - done) * STEPS):  # noqa: B007
                self.now += STEP * self.slowness(self.now)
                if watch.looks() and (cut := watch.fits()) is not None:
                    break
            if cut is None:
                return epochs
            kept = done + step // STEPS
            self.lost += step % STEPS + 1
            self.said = self.now + cut.rest
            self.cuts, epochs, done = self.cuts + 1, max(cut.epochs, kept), kept


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("finetune", epochs=54)[0]  # 540 s of 600 s


def test_a_machine_as_fast_as_timed_cuts_nothing(recipe: Recipe) -> None:
    machine = Machine(lambda _: 1.0)
    assert machine.train(recipe) == 54
    assert machine.cuts == 0


@pytest.mark.parametrize("since", [0.0, 100.0, 300.0, 450.0])
@pytest.mark.parametrize("factor", [1.5, 3.0, 6.0])
def test_the_budget_holds_whenever_the_machine_becomes_slower(
    recipe: Recipe, since: float, factor: float
) -> None:
    machine = Machine(lambda now: factor if now >= since else 1.0)
    assert (machine.train(recipe) < 54) == (since < 450 or factor > 2)
    assert 0.5 * 600 < machine.now < 1.2 * 600
    assert machine.lost < 0.15 * 540
    assert not machine.cuts or machine.said == pytest.approx(machine.now, rel=0.15)


def test_a_machine_that_gets_slower_and_slower_keeps_to_it_too(recipe: Recipe) -> None:
    machine = Machine(lambda now: 1 + now / 100)
    machine.train(recipe)
    assert machine.now < 1.2 * 600
    assert machine.cuts > 1


def test_long_epochs_are_judged_before_one_has_ended() -> None:
    machine = Machine(lambda _: 6.0, minutes=5.0)
    assert machine.train(load_recipe("finetune", epochs=25)[0]) < 6
    assert machine.now < 1.2 * 300


def test_one_epoch_is_trained_however_slow(recipe: Recipe) -> None:
    machine = Machine(lambda _: 200.0)
    assert machine.train(recipe) == 1


@pytest.mark.parametrize("slow", [(40, 1e9), (30, 45)], ids=["from then on", "for a moment"])
def test_a_short_run_that_was_cut_uses_its_time(slow: tuple[float, float]) -> None:
    """Epochs that were finished before a cut are not counted as still to come, nor is a moment's load taken to stay."""
    machine = Machine(lambda now: 2.0 if slow[0] <= now < slow[1] else 1.0, minutes=2.0)
    epochs = machine.train(load_recipe("finetune", epochs=10)[0])
    assert 0.7 * 120 < machine.now < 1.2 * 120
    assert epochs >= (6 if slow[1] > 120 else 8)


@pytest.mark.parametrize("began", [595.0, 640.0])
def test_classifiers_that_need_seconds_are_not_cut(began: float) -> None:
    """The time went into features: cutting what takes seconds would gain none."""
    machine = Machine(lambda _: 0.015, now=began)
    assert machine.train(load_recipe("finetune", epochs=40)[0]) == 40
