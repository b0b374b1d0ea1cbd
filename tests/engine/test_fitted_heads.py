"""Classifiers that begin fitted to features: they are right from the first step, and no class is favoured."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import state_of, tiny

from longtail.engine.display import Display
from longtail.engine.features import split_features
from longtail.engine.fitted_heads import LEAST, MOST, _sample, _some, fit_linear
from longtail.engine.job import Job, build_job
from longtail.engine.step import StageTraining
from longtail.engine.train import fit
from longtail.runs.folder import RunFolder
from longtail.types import InputError, Progress

HEADS = {
    "model__head": "linear",
    "optim__epochs": 1,
    "optim__warmup_epochs": 0,
    "method__name": "balanced_softmax",
}


def begun(folder: Path, **changes: object) -> Job:
    job = build_job(tiny(**{**HEADS, **changes}), RunFolder(str(folder)), Display(1, quiet=True))
    StageTraining(job, 0)
    return job


def recall(job: Job) -> list[float]:
    targets = job.data.train.targets
    with torch.no_grad():
        features = split_features(job, job.data.train)
        named = job.model.classify(features).logits[0].argmax(1)
    return [float((named[targets == c] == c).float().mean()) for c in range(10)]


def test_fitted_classifiers_know_the_training_images_before_the_first_step(tmp_path: Path) -> None:
    fitted, fresh = recall(begun(tmp_path, optim__fitted_heads=True)), recall(begun(tmp_path))
    assert sum(fitted) / 10 > 0.8 > sum(fresh) / 10


@pytest.mark.parametrize("method", ["cross_entropy", "logit_adjustment"])
def test_fitted_classifiers_have_the_class_prior_that_the_loss_sees(tmp_path: Path, method: str) -> None:
    """Where a method takes the prior out when it predicts, the logits that it trains have it."""
    plain = begun(tmp_path, optim__fitted_heads=True, method__name=method)
    balanced = begun(tmp_path, optim__fitted_heads=True)
    away = (plain.model.heads["first"].bias - balanced.model.heads["first"].bias)[0, 0]
    expected = plain.data.class_counts.log()  # the class prior, which a balanced head does not have
    torch.testing.assert_close(away, expected - expected.mean(), atol=1e-4, rtol=0)


def test_what_is_fitted_is_the_least_of_its_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 5, generator=generator).double() * 3 + 7
    targets = torch.cat([torch.zeros(50), torch.ones(10)]).long()
    weight, bias = fit_linear(features, targets, 2, decay=0.5)
    deviation = features.std(0, correction=0) + 1e-3
    own = (weight * deviation).requires_grad_()
    offset = bias + weight @ features.mean(0)
    logits = (features - features.mean(0)) / deviation @ own.T + offset + torch.tensor([50.0, 10.0]).log()
    loss = torch.nn.functional.cross_entropy(logits, targets) + 0.25 * own.square().sum()
    (gradient,) = torch.autograd.grad(loss, own)
    assert float(gradient.abs().max()) < 1e-4


def test_large_classes_are_looked_at_in_part() -> None:
    targets = torch.cat([torch.zeros(9_000), torch.ones(5)]).long()
    rows = _some(targets, 3)  # the third class has none
    assert torch.bincount(targets[rows]).tolist() == [MOST // 3, 5]
    assert int(rows[MOST // 3 - 1]) == 8_999
    assert torch.bincount(targets[_some(targets, 1_000)]).tolist() == [LEAST, 5]


def test_cosine_classifiers_are_refused() -> None:
    with pytest.raises(InputError, match=r"fitted_heads .* model\.head=linear"):
        tiny(optim__fitted_heads=True)


def test_frozen_statistics_stay_as_the_weights_came(tmp_path: Path) -> None:
    recipe = tiny(**HEADS, optim__frozen_statistics=True)
    job = build_job(recipe, RunFolder(str(tmp_path)), Display(1, quiet=True))
    before = {name: value.clone() for name, value in job.model.state_dict().items()}
    for _ in StageTraining(job, 0).epoch(Progress("train", 0, 1, 0, 0, 0)):
        pass
    after = job.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "running" in name)
    assert not torch.equal(before["heads.first.weight"], after["heads.first.weight"])


def test_classifiers_of_a_finished_stage_are_not_fitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(**HEADS, optim__fitted_heads=True)
    fit(recipe, str(tmp_path / "whole"), quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr("longtail.engine.train.find_temperature", _interrupt)  # after the last epoch's state
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, str(tmp_path / "stopped"), quiet=True)
    fit(recipe, str(tmp_path / "stopped"), resume=True, quiet=True)
    whole, stopped = (state_of(tmp_path / name)["model"] for name in ("whole", "stopped"))
    shipped = load_file(tmp_path / "stopped/weights/last.safetensors")
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert all(torch.equal(whole[name], shipped[name]) for name in shipped if name in whole)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_experts_that_begin_as_copies_are_fitted_to_samples_of_their_own(tmp_path: Path) -> None:
    """Equal classifiers on equal features would have equal gradients for ever."""
    job = begun(tmp_path, optim__fitted_heads=True, model__num_experts=3)
    again = begun(tmp_path, optim__fitted_heads=True, model__num_experts=3)
    weight = job.model.heads["first"].weight
    assert torch.equal(weight, again.model.heads["first"].weight)
    assert all((weight[a] - weight[b]).abs().max() > 1e-3 for a, b in ((0, 1), (0, 2), (1, 2)))
    targets = torch.tensor([0, 0, 0, 0, 1, 1, 3])  # none of class 2
    drawn = _sample(targets, 1, 0)
    assert torch.equal(targets[drawn], targets)
    assert not torch.equal(drawn, _sample(targets, 2, 0))
