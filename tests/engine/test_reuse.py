"""Stored features: the classifier stage on what it would have computed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_runs import FEATURE_EPOCHS, STEPS, state_of, stop_at, tiny

from longtail.engine.train import fit
from longtail.types import InputError

Train = Callable[..., Path]


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_as_many_views_as_epochs_change_nothing(finished: Path, train: Train, mode: str) -> None:
    plain = state_of(finished if mode == "train" else train("plain", method__classifier_batch_norm=mode))
    stored = state_of(train("stored", method__classifier_batch_norm=mode, run__reuse_features=2))
    for name, value in plain["model"].items():
        torch.testing.assert_close(stored["model"][name], value, rtol=0, atol=1e-6, msg=name)
    for a, b in zip(plain["records"], stored["records"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
        assert ("stored_views" in b) == (b["stage"] == "classifier")


def test_one_view_is_seen_again(finished: Path, train: Train) -> None:
    plain = state_of(finished)
    folder = train("stored", run__reuse_features=1)
    stored = state_of(folder)
    first, second = (
        [run["records"][FEATURE_EPOCHS + n]["loss"]["logit_adjustment"] for run in (plain, stored)]
        for n in (0, 1)
    )
    assert first[0] == pytest.approx(first[1], rel=1e-6)
    assert second[0] != pytest.approx(second[1], rel=1e-4)
    assert stored["records"][-1]["stored_views"] == 1
    assert json.loads((folder / "eval/test/metrics.json").read_text("utf-8"))["reuse_features"] == 1


def test_a_resumed_run_within_the_stage_ends_the_same(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = state_of(train("whole", run__reuse_features=1))
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS * (FEATURE_EPOCHS + 1), KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train("stopped", run__reuse_features=1)
    resumed = state_of(
        fit(tiny(run__reuse_features=1), str(tmp_path / "stopped"), resume=True, quiet=True).path
    )
    assert all(torch.equal(value, resumed["model"][name]) for name, value in whole["model"].items())


def test_a_method_that_trains_its_features_throughout_is_refused() -> None:
    with pytest.raises(InputError, match="reuse_features does not go with cross_entropy"):
        tiny(method__name="cross_entropy", run__reuse_features=2)
