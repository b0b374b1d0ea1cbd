"""Classifiers compared on stored features by cross-validation."""

from pathlib import Path

import pytest
import torch
from tiny_runs import tiny

from longtail.engine.trials import FrozenTrials, folds

TRIAL = {
    "model__frozen": True, "run__reuse_features": 1, "method__name": "balanced_softmax", "optim__epochs": 5,
    "model__head": "linear",
}  # fmt: skip


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrozenTrials:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))
    return FrozenTrials(tiny(**TRIAL))


def test_a_trial_learns_from_its_rows_and_repeats_itself(trials: FrozenTrials) -> None:
    fold = folds(trials.targets, 4, seed=0)
    rows, held = (fold != 0).nonzero().flatten(), (fold == 0).nonzero().flatten()
    recipe = tiny(**TRIAL)
    said = trials.logits(recipe, rows, held)
    assert said.shape == (len(held), trials.num_classes)
    assert (said.argmax(1) == trials.targets[held]).double().mean() > 0.5
    assert torch.equal(said, trials.logits(recipe, rows, held))
    other = trials.logits(tiny(**TRIAL | {"method__name": "crt"}), rows, held)
    assert not torch.equal(said, other)
    assert trials.features["train"].view(1).shape == trials.features["train"].view(0).shape


def test_folds_spread_classes_and_keep_groups_whole() -> None:
    targets = torch.tensor([0] * 12 + [1] * 4 + [2])
    groups = ["a", "a", "a", *[""] * 14]
    fold = folds(targets, 4, seed=1, groups=groups)
    assert len(fold[:3].unique()) == 1
    assert [int(((fold == one) & (targets == 0)).sum()) for one in range(4)] == [3, 3, 3, 3]
    assert [int(((fold == one) & (targets == 1)).sum()) for one in range(4)] == [1, 1, 1, 1]
