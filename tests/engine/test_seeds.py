"""Several seeds at once: each run as it would have been alone, one summary, nothing lost and nothing left."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import STEPS, TINY, state_of, stop_at, tiny

import longtail
from longtail.engine import job
from longtail.engine.train import fit
from longtail.runs.folder import RunFolder
from longtail.types import InputError

SEEDS = (TINY["run.seed"], 7)
SET = {key: value for key, value in TINY.items() if key != "run.seed"}


def train(out: Path, seeds: tuple[int, ...] | None = SEEDS, **more: Any) -> longtail.SeedRuns:
    return longtail.train_seeds("icl-digits", seeds, out=out, set=SET, quiet=True, **more)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a if "seconds" not in str(key))
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list | tuple) else a == b


@pytest.fixture(scope="module")
def alone(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    other = fit(tiny(run__seed=SEEDS[1]), str(tmp_path_factory.mktemp("alone") / "run"), quiet=True).path
    runs = dict(zip(SEEDS, (finished, other), strict=True))
    return lambda seed: state_of(runs[seed])


def test_each_run_is_bit_for_bit_that_of_its_seed_alone(
    tmp_path: Path, alone: Callable[[int], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load_data = job.load_data
    monkeypatch.setattr(job, "load_data", lambda *args, **more: loaded.append(1) or load_data(*args, **more))
    runs = train(tmp_path / "runs")
    assert len(loaded) == 1  # one copy of the data
    for seed, folder in zip(SEEDS, runs.folders, strict=True):
        assert same(state_of(folder.path), alone(seed))  # weights, statistics, momentum, log, generators
        assert folder.status()["status"] == "done"
    summary = json.loads((tmp_path / "runs" / "summary.json").read_text("utf-8"))
    macro = [run.metrics["macro"] for run in runs.runs if run.metrics]
    assert summary["scores"]["macro"] == {
        "mean": statistics.fmean(macro), "sd": statistics.stdev(macro), "values": macro,
    }  # fmt: skip


def test_interrupted_runs_go_on_from_the_folder_alone(
    tmp_path: Path, alone: Callable[[int], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "runs"
    with monkeypatch.context() as patch:
        stop_at(patch, 2 * STEPS, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt, match=rf"longtail train {parent} --resume"):
            train(parent)
    for seed in SEEDS:
        status = json.loads((parent / f"seed-{seed}" / "status.json").read_text("utf-8"))
        assert status["status"] == "interrupted"
    with pytest.raises(InputError, match="holds runs of seeds 3, 7; resume them with --resume"):
        longtail.train_seeds(parent, quiet=True)
    runs = longtail.train_seeds(parent, resume=True, quiet=True)
    assert runs.seeds == SEEDS
    for seed, folder in zip(SEEDS, runs.folders, strict=True):
        assert same(state_of(folder.path), alone(seed))


def test_a_refusal_before_the_first_epoch_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 1, InputError("no"))
    with pytest.raises(InputError, match="no"):
        train(tmp_path / "a" / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_touches_no_run_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / "runs"
    with monkeypatch.context() as patch:
        stop_at(patch, 1, KeyboardInterrupt())  # before the first epoch is finished
        with pytest.raises(KeyboardInterrupt):
            train(parent)
    before = sorted(parent.rglob("*"))
    with RunFolder(parent / "seed-3").locked():  # as if another process were training
        with pytest.raises(InputError, match="another process is writing"):
            longtail.train_seeds(parent, resume=True, quiet=True)
        with pytest.raises(InputError, match="not empty"):
            train(parent)
    assert sorted(parent.rglob("*")) == before


def test_a_refused_resume_keeps_the_summary(tmp_path: Path) -> None:
    parent = tmp_path / "runs"
    train(parent)
    summary = (parent / "summary.json").read_text("utf-8")
    with pytest.raises(InputError, match="another recipe"):
        longtail.train_seeds(parent, resume=True, set={"optim.peak_lr": "0.02"}, quiet=True)
    assert (parent / "summary.json").read_text("utf-8") == summary


def test_mistaken_seeds_are_refused(tmp_path: Path) -> None:
    for seeds in ((), (1, 1)):
        with pytest.raises(InputError, match="give each once"):
            train(tmp_path / "runs", seeds)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        train(tmp_path / "full")
    assert not (tmp_path / "runs").exists()
