"""`longtail bench`: several processes, a failed cell, one that is killed, interruption, resuming, and the table."""

import csv
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from longtail import methods
from longtail.engine import train
from longtail.runs.locks import locked
from longtail.study import pool
from longtail.study.plan import Request, plan_study
from longtail.study.worker import OutOfTimeError, Terms, work

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("all_tested")]

Run = Callable[..., tuple[int, str, str]]
STUDY = """
title = "Three rows"
recipe = "icl-digits"
epochs = 2
against = "ce"
set.model = { name = "resnet8", num_experts = 1, gates = false }

[rows.ce]
title = "cross-entropy"
method = "cross_entropy"
published = 38.3

[rows.killed]
method = "killed"

[rows.bad]
method = "cross_entropy"
set.optim.peak_lr = 1e6
"""
KILLED = """
import os, pathlib, signal
from longtail.methods.cross_entropy import CrossEntropy

class Killed(CrossEntropy):
    "Kills its process in its second epoch, once."

    def start_epoch(self, progress):
        once = pathlib.Path(__file__).with_name("once")
        if progress.total_epoch == 1 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "killed.py").write_text(KILLED, "utf-8")
    return folder


@pytest.fixture
def study(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A study file in an empty folder; one of its methods kills its process.

    The processes of the first run are forked by one that has loaded the library, which each would else load for
    itself; those of a second run are started as they are for users.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(plugins)])
    monkeypatch.setenv("LONGTAIL_METHODS", str(plugins))
    multiprocessing.set_forkserver_preload([pool.__name__, train.__name__])
    forked = iter([multiprocessing.get_context("forkserver")])
    parts = {
        "get_context": lambda kind: next(forked, None) or multiprocessing.get_context(kind),
        "parent_process": multiprocessing.parent_process,
    }
    monkeypatch.setattr(pool, "multiprocessing", SimpleNamespace(**parts))
    Path("three.toml").write_text(STUDY, "utf-8")
    return "three.toml"


def test_a_study_with_a_failed_and_a_killed_cell(run: Run, study: str, refused: Callable[..., str]) -> None:
    code, out, err = run("bench", study, "--workers", "2")
    assert code == 1
    assert {line.split(":")[1].strip() for line in err.splitlines() if line.startswith("failed: ")} == {
        "bad, seed 0", "killed, seed 0"
    }  # fmt: skip
    assert "SIGKILL" in err
    assert "is not finite" in json.loads(Path("runs/three/bad/seed-0.failed.json").read_text())["reason"]
    assert "2 of 3 rows have no result yet: killed, bad." in out
    result = Path("runs/three/results/three.ce.seed-0.json")
    before = result.read_bytes()

    code, out, err = run("bench", study)
    assert code == 1
    assert "killed, seed 0 resumed\n" in err
    assert "after epoch 1 of 2" in err
    assert "ce, seed 0 begins" not in err
    assert result.read_bytes() == before
    assert not Path("runs/three/killed/seed-0.failed.json").exists()
    assert sorted(file.suffix for file in Path("runs/three").rglob("*.lock")) == []
    rows = list(csv.DictReader(Path("runs/three/three.csv").read_text("utf-8").splitlines()))
    assert [row["row"] for row in rows] == ["ce", "killed"]
    assert rows[0]["macro"] == rows[1]["macro"]  # resumed, it is the run that was never cut short
    assert float(rows[1]["gain"]) == 0
    assert rows[0]["commands"] == "longtail bench three.toml --only ce --seeds 0"
    assert "longtail bench three.toml --only killed --seeds 0" in out
    assert "1 of 3 rows have no result yet: bad." in out

    changes = refused("bench", study, "--set", "optim.peak_lr=0.01", details=True)
    assert "was made with other settings than ce, seed 0 has now" in changes
    assert run("bench", study, "--only", "ce", "--set", "optim.precision=bf16")[0] == 0  # is done
    _what_would_run(run, study)
    _the_same_cell_of_another_study(run)


def _what_would_run(run: Run, study: str) -> None:
    before = sorted(Path("runs").rglob("*"))
    code, out, err = run("bench", study, "--dry-run", "--seeds", "0,1")
    assert code == 0
    assert sorted(Path("runs").rglob("*")) == before
    lines = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert "done" in lines["ce, seed 0"]
    assert "to do" in lines["ce, seed 1"]
    assert lines["ce, seed 1"].endswith("seed 0, finished")
    assert "to do, failed before" in lines["bad, seed 0"] or "epochs, failed before" in lines["bad, seed 0"]
    assert "bad, seed 0: failed and will be tried again: loss term" in out
    refused = lines["bad, seed 1"].endswith("see below")
    assert refused or "steps of its first" in lines["bad, seed 1"]
    assert ("bad, seed 0; bad, seed 1: would be refused: loss term" in out) == refused
    assert err == "timing 3 steps of bad\n"
    assert "2 of 6 cells done; about " in out


def _the_same_cell_of_another_study(run: Run) -> None:
    text = STUDY.split("[rows.killed]", maxsplit=1)[0].replace('against = "ce"', "")
    Path("again.toml").write_text(text.replace("[rows.ce]", "[rows.plain]").replace("38.3", "39"), "utf-8")
    words = ("bench", "again.toml", "--results", "runs/three/results")
    code, out, err = run(*words)
    assert code == 0
    assert "plain, seed 0 done: " in err
    assert "measured by: longtail bench three.toml --only ce --seeds 0" in err
    assert not Path("runs/again/plain/seed-0").exists()
    assert "39.0" in out
    assert "longtail bench three.toml --only ce --seeds 0" in out
    assert run(*words, "--table")[:2] == (0, out)


def test_cells_that_others_hold_are_waited_for_and_the_rest_is_done(study: str) -> None:
    plan = plan_study(Request(study, only=("ce", "killed"), seeds=(0, 1), set={"optim.epochs": "1"}))
    held = plan.cells[0]
    held.lock.parent.mkdir(parents=True)
    with locked(held.lock, "held"), pytest.raises(OutOfTimeError):
        work(
            plan, Terms(frozenset(), lambda: sum(c.done for c in plan.cells) == 3, quiet=True), lambda _: None
        )
    assert [cell.done for cell in plan.cells] == [False, True, True, True]
    assert not held.begun
    work(plan, Terms(frozenset(), lambda: False, quiet=True), lambda _: None)
    assert held.done


@pytest.mark.usefixtures("default_signals")
def test_an_interruption_reaches_all_processes_and_the_same_command_resumes(run: Run, study: str) -> None:
    words = ["bench", study, "--only", "ce", "--seeds", "0,1", "--set", "optim.epochs=40"]
    logs = [Path(f"runs/three/ce/seed-{seed}/log.jsonl") for seed in (0, 1)]

    def interrupt() -> None:
        until = time.monotonic() + 100
        while not all(log.exists() for log in logs) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)  # this process alone, as `kill -INT` does

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, out, err = run(*words, "--workers", "2")
    thread.join()
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; the same command resumes"
    assert not multiprocessing.active_children()
    states = [json.loads(log.with_name("status.json").read_text()) for log in logs]
    assert [state["status"] for state in states] == ["interrupted", "interrupted"]
    assert all(1 <= state["epoch"] < 40 for state in states)
    code, out, err = run(*words, "--minutes", "0.00001")
    assert (code, out) == (3, "")
    assert "out of time, 2 not finished: ce, seed 0, ce, seed 1; the same command resumes" in err
    assert not list(Path("runs/three").rglob("*.lock"))
    assert not Path("runs/three/results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "cee"), "study three has no row 'cee'; did you mean 'ce'?"),
        (("--data", "nowhere"), "nowhere does not exist"),
        (("--results", "three.toml"), "three.toml is a file; choose another folder"),
        (("--set", "optim.peak_rl=1"), "row ce: unknown key 'optim.peak_rl'; did you mean 'optim.peak_lr'?"),
        (("--set", "run.seed=1"), "give --seeds N,N,... in place of --set run.seed"),
        (("--seeds", "1,1"), "give each once"),
        (("--seeds", "-1"), "run.seed = -1 does not fit"),
        (("--workers", "0"), "--workers"),
        (("--minutes", "0"), "--minutes 0 does not fit: give more than 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    refused: Callable[..., str], study: str, words: tuple[str, ...], said: str
) -> None:
    assert said in refused("bench", study, *words)
    assert not Path("runs").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--workers", "2")])
def test_missing_images_are_one_refusal(
    refused: Callable[..., str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "images").mkdir()
    study = tmp_path / "places.toml"
    study.write_text('title = "t"\nrecipe = "icl-images"\n[rows.ce]\nmethod = "cross_entropy"\n[rows.icl]\n')
    said = refused("bench", study, "--data", tmp_path / "images", "--out", tmp_path / "runs", *more)
    assert "places: " in said
    assert str(tmp_path / "images") in said
    assert not list(tmp_path.glob("runs/**/*"))
