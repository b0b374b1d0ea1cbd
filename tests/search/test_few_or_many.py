"""A search on sets with very few images, and with very many classes."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from longtail.data import LongTailData, load_data
from longtail.engine.display import Display
from longtail.engine.timing import Timing
from longtail.recipe import Recipe, load_recipe
from longtail.search import comparing, picture_fits
from longtail.search import heads as heads_module
from longtail.search.heads import compare_heads
from longtail.search.short_training import Division, OutOfTimeError, at_most, fewer

QUIET = Display(1, quiet=True)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def digits() -> LongTailData:
    return load_data(load_recipe("icl-digits")[0].data)


@pytest.fixture(scope="module")
def on_features() -> Recipe:
    given = {
        "model.name": "resnet8", "model.num_experts": 1, "model.head": "linear", "model.frozen": True,
        "method.name": "balanced_softmax", "run.device": "cpu", "run.reuse_features": 0,
    }  # fmt: skip
    return load_recipe("icl-digits", given, epochs=2)[0]


def test_one_image_a_class_has_classifiers_on_features_though_nothing_can_be_judged(
    digits, on_features
) -> None:
    first = torch.from_numpy(np.unique(digits.train.targets.numpy(), return_index=True)[1])
    data = replace(digits, train=digits.train.take(first), val=None, test=None)
    heads = compare_heads(on_features, data, 1e-3, 10.0, QUIET)
    assert heads.best.recipe.model.frozen
    assert heads.trials == ()
    assert heads.images == len(heads.right) == 0
    assert "no class" in heads.best.name


def test_classes_of_one_group_each_judge_nothing(digits, on_features) -> None:
    targets = digits.train.targets
    first = torch.cat([(targets == c).nonzero().flatten()[:4] for c in range(10)])
    train = replace(digits.train.take(first), groups=tuple(f"patient {c}" for c in targets[first].tolist()))
    heads = compare_heads(on_features, replace(digits, train=train, val=None, test=None), 1e-3, 10.0, QUIET)
    assert heads.images == len(heads.right) == 0


def sized(digits: LongTailData, counts: list[int]) -> LongTailData:
    """So many images of each class; what they show means nothing."""
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    train = digits.train.take(torch.arange(len(targets)) % len(digits.train))
    return replace(
        digits, train=replace(train, targets=targets), val=None, test=None,
        class_names=tuple(map(str, range(len(counts)))),
    )  # fmt: skip


@pytest.mark.parametrize("counts", [[30] * 600, [36] * 100, [500, 90, 30, 4, 1], [1] * 7])
@pytest.mark.parametrize("wanted", [40, 300, 1000])
def test_as_many_images_are_kept_as_asked_for_or_one_of_each_class(digits, counts, wanted) -> None:
    data = sized(digits, counts)
    everything = Division(np.arange(sum(counts)), np.arange(0))
    rows = fewer(everything, data, wanted, 0).rows
    kept = np.bincount(data.train.targets.numpy()[rows], minlength=len(counts))
    assert abs(len(rows) - min(sum(counts), max(wanted, len(counts)))) <= 1
    assert kept.min() >= 1
    assert np.all(kept[np.array(counts) >= counts[0]] >= kept.max() - 1)


@pytest.mark.parametrize(
    ("counts", "images"), [([60] * 100, 3000), ([900, 800, 700, 700], 3000), ([3] * 2000, 4000)]
)
def test_images_that_judge_are_counted_among_those_compared(digits, on_features, counts, images) -> None:
    data = sized(digits, counts)
    held = np.concatenate(
        [np.flatnonzero(data.train.targets == c)[: -(-count // 4)] for c, count in enumerate(counts)]
    )
    rows = np.setdiff1d(np.arange(sum(counts)), held)
    some = at_most(Division(rows, held, np.arange(len(held))), data, 3000, 0)
    assert abs(len(some.rows) + len(some.held) - images) <= 1
    assert len(some.units) == len(some.held)
    assert set(some.rows) <= set(rows)
    assert set(some.held) <= set(held)


def test_features_are_of_no_more_images_than_is_said(digits, on_features, monkeypatch) -> None:
    monkeypatch.setattr(heads_module, "MOST", 60)
    heads = compare_heads(on_features, digits, 1e-3, 0.0, QUIET)
    assert heads.stored == 60
    assert len(heads.right) == len(heads.division.held) == 15


class Clock:
    """A simulated machine that is exactly as fast as the timed steps said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, timing: Timing) -> None:
        self.time, self.timing = 0.0, timing
        monkeypatch.setattr(comparing, "time", SimpleNamespace(monotonic=lambda: self.time))
        monkeypatch.setattr(comparing, "judged_logits", self.train)
        monkeypatch.setattr(comparing, "time_steps", lambda *_: replace(timing, image=3 * timing.image))

    def train(
        self, recipe: Recipe, data: LongTailData, division: Division, most: float, step: object
    ) -> Tensor:
        image = self.timing.image * (3 if recipe.model.num_experts == 3 else 1)
        needed = recipe.optim.epochs * len(division.rows) * image
        self.time += min(needed, most)
        if needed > most:
            raise OutOfTimeError
        self.time += len(division.held) * self.timing.evaluated
        return torch.zeros(len(division.held), len(data.class_names))


@pytest.fixture
def fine_tuned() -> Recipe:
    given = {"model.name": "resnet8", "model.num_experts": 1, "method.name": "balanced_softmax"}
    return load_recipe("icl-digits", {**given, "model.gates": None, "run.device": "cpu"}, epochs=8)[0]


def test_a_hundred_classes_are_compared_within_the_time(monkeypatch, digits, fine_tuned) -> None:
    timing = Timing(0.044, 1e-3, images=3600, judged=0, final=0, where="")
    clock = Clock(monkeypatch, timing)
    compared = comparing.Comparing(fine_tuned, sized(digits, [36] * 100), {}, timing, 270.0, QUIET)
    assert compared.run() is None
    assert len(compared.tried) > 1
    assert clock.time <= 270


def test_too_many_classes_for_a_short_training_are_the_cause_that_is_said(
    monkeypatch, digits, fine_tuned
) -> None:
    timing = Timing(0.044, 1e-3, images=6000, judged=0, final=0, where="")
    clock = Clock(monkeypatch, timing)
    compared = comparing.Comparing(fine_tuned, sized(digits, [3] * 2000), {}, timing, 270.0, QUIET)
    why = compared.run()
    assert why is not None
    assert "2,000 images" in why
    assert "slower" not in why
    assert clock.time == 0


def test_what_cannot_fit_any_more_is_not_begun(monkeypatch, digits, fine_tuned) -> None:
    timing = Timing(0.01, 1e-3, images=3000, judged=0, final=0, where="")
    clock, said = Clock(monkeypatch, timing), list[str]()
    given = {"method.name": "balanced_softmax", "optim.peak_lr": 0.1}
    compared = comparing.Comparing(fine_tuned, sized(digits, [5] * 600), given, timing, 100.0, QUIET)
    monkeypatch.setattr(compared, "display", SimpleNamespace(say=said.append))
    compared.run()
    assert compared.untried == ["three experts"]
    assert "slower" not in said[0]
    assert clock.time <= 60


def test_a_fit_is_not_compared_where_classes_are_too_many(monkeypatch, digits, on_features) -> None:
    monkeypatch.setattr(picture_fits, "FrozenTrials", pytest.fail)
    data = sized(digits, [3] * 1200)
    wide = replace(data, train=replace(data.train, sizes=np.array([[300, 100]] * 3600)))
    fit, (said,) = picture_fits.choose_fit(on_features, wide, pytest.fail, 1e-3, 1e3, QUIET)
    assert fit == on_features.data.fit
    assert "too many classes" in said
