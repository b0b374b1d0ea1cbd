"""How many epochs fit into a time, and what is cut where they do not."""

import pytest

from longtail.data import load_data
from longtail.data.source_kinds import read_source
from longtail.engine.timing import Timing
from longtail.recipe import Recipe, changed, load_recipe
from longtail.search.budget import Budget
from longtail.search.lengths import fitted
from longtail.search.probing import affordable, probe


def timing(image: float = 0.01, judged: int = 100) -> Timing:
    return Timing(image, 0.001, images=1000, judged=judged, final=0, where="2 CPU threads")


def recipe(epochs: int = 20) -> Recipe:
    return load_recipe("finetune", {"data.path": "photos", "method.name": "balanced_softmax"}, epochs=epochs)[
        0
    ]


@pytest.mark.parametrize("every", [0, 1, 3])
@pytest.mark.parametrize("seconds", [5.0, 10.2, 47.0, 300.0])
def test_as_many_epochs_fit_as_take_no_longer(seconds: float, every: int) -> None:
    epochs = timing().epochs_within(seconds, every)
    assert epochs == 0 or timing().run(epochs, every) <= seconds
    assert timing().run(epochs + 2, every) > seconds


def test_all_epochs_are_kept_where_there_is_time() -> None:
    found, reasons = fitted(recipe(), timing(), 1000.0, {}, 15.0)
    assert found.optim.epochs == 20
    assert not any(line.startswith("cut") for line in reasons)


def test_epochs_are_cut_to_the_time_and_that_is_said() -> None:
    found, reasons = fitted(recipe(), timing(), 85.0, {}, 2.0)
    assert 7 <= found.optim.epochs <= 8
    assert timing().run(found.optim.epochs, found.run.evaluate_every) <= 85
    assert any(line.startswith("cut: ") for line in reasons)


def test_one_epoch_is_trained_even_where_it_is_too_long() -> None:
    found, reasons = fitted(recipe(), timing(), 3.0, {}, 1.0)
    assert found.optim.epochs == 1
    assert any("longer than is left" in line for line in reasons)


def test_evaluations_that_would_take_much_of_the_time_are_left_to_the_end() -> None:
    many = timing(judged=20_000)
    assert fitted(recipe(), many, 1000.0, {}, 15.0)[0].run.evaluate_every == 0
    kept = changed(recipe(), {"run.evaluate_every": 1})
    assert fitted(kept, many, 1000.0, {"run.evaluate_every": 1}, 15.0)[0].run.evaluate_every == 1


def test_images_are_smaller_where_enough_epochs_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    large = changed(recipe(8), {"data.image_size": 224})
    monkeypatch.setattr(
        "longtail.search.probing.probe", lambda r, _: timing(0.01 * (r.data.image_size / 224) ** 2)
    )
    unread = pytest.fail
    assert affordable(large, timing(), unread, {}, 100.0)[0] == large
    smaller, timed, cuts = affordable(large, timing(), unread, {}, 45.0)
    assert smaller.data.image_size == 160
    assert timed.epochs_within(45.0, 0) >= 8
    assert len(cuts) == 1
    assert affordable(large, timing(), unread, {"data.image_size": 224}, 45.0)[0] == large
    assert affordable(large, timing(), unread, {}, 1.0)[0].data.image_size == 96


def test_a_budget_runs_from_when_the_command_began_and_keeps_a_reserve() -> None:
    clock = [100.0]
    budget = Budget(2.0, 90.0, now=lambda: clock[0])
    assert 0.9 * 110 < budget.left < 110
    clock[0] = 220.0
    assert budget.left < 0


def test_time_is_reckoned_for_the_images_that_the_tail_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longtail.search.probing.time_steps", lambda *_: timing())
    given = {"data.max_count": 40, "data.imbalance_factor": 10.0}
    tailed = load_recipe("icl-digits", given)[0]
    assert probe(tailed, read_source).images == len(load_data(tailed.data).train)
