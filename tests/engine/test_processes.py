"""Two processes on one batch do what one does: weights, statistics, losses, scores and files."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from test_training import FILES, log_of
from tiny_runs import STEPS, state_of, stop_at, tiny

from longtail import methods
from longtail.engine.display import Display
from longtail.engine.job import build_job
from longtail.engine.processes import Processes, join_processes
from longtail.engine.train import fit
from longtail.runs.folder import RunFolder
from longtail.types import InputError

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
DEADLINE = 600
# Two processes sum in another order than one, and training multiplies the rounding; how much depends on the CPU's
# kernels. In double precision what is left of it is far below any fault.
EXACT = {"optim__precision": "fp64", "optim__warmup_epochs": 0}
WHOLE = EXACT | {
    "optim__batch_size": 31, "method__classifier_peak_lr": 0.01, "optim__epochs": 3, "method__classifier_epochs": 1,
}  # fmt: skip
EPOCH = EXACT | {"optim__epochs": 1, "method__classifier_epochs": 0}
SAME: dict[str, dict[str, Any]] = {
    "whole": WHOLE,
    "stored": WHOLE | {"optim__epochs": 2, "method__classifier_epochs": 1, "run__reuse_features": 1},
    "replace": EPOCH | {"method__contrastive_mode": "replace", "method__contrastive_start": 0},
    "one image remains": EPOCH | {"optim__batch_size": 83},
    "everything": EXACT | {"method__name": "everything", "optim__epochs": 2, "data__validation": 0.25},
    "pairs": EXACT | {"method__name": "pairs", "optim__epochs": 1, "optim__clip_norm": 1.0},
}
for sampler in ("class_balanced", "square_root", "progressive"):
    SAME[sampler] = EXACT | {"method__name": "drawn", "method__sampler": sampler, "optim__epochs": 1}
SAME["progressive"]["optim__epochs"] = 2
HALF = EPOCH | {  # rounds coarsely, so the network must not multiply it
    "optim__precision": "bf16", "optim__peak_lr": 0.01, "model__zero_init_residual": True,
}  # fmt: skip


def scenario(
    name: str, changes: Mapping[str, Any], trouble: str | None = None, resume: bool = False
) -> dict[str, Any]:
    return {"name": name, "changes": changes, "trouble": trouble, "resume": resume}


MORE = [
    scenario("half", HALF),
    scenario("begun by two", WHOLE, "stop in epoch 1"),
    scenario("begun by one", WHOLE, resume=True),
    scenario("whole", WHOLE, resume=True),
    scenario("whole", WHOLE),
    scenario("full", EPOCH, "disk of rank 0"),
    scenario("unreadable", EPOCH, "images of rank 1"),
    scenario(
        "ctrl-c", EPOCH | {"optim__epochs": 2}, "ctrl-c in epoch 1"
    ),  # the last one: the processes have lost each other
]


def environments(count: int) -> list[dict[str, str]]:
    """What a launcher sets for processes that are to find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


@contextmanager
def started(*words: str, cwd: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process and what it forks; none outlives the test."""
    own = {"OMP_NUM_THREADS": "1", "LONGTAIL_METHODS": str(PLUGINS), "PYTHONWARNINGS": "error::UserWarning"}
    own["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # the modules beside the tests, too
    with subprocess.Popen(
        [sys.executable, *words], env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=cwd, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def place(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Runs of one process in one/ and of two in rank-0/, while the second of these was given rank-1/."""
    return once("processes", make_runs)


def make_runs(place: Path) -> None:
    same = [scenario(name, changes) for name, changes in SAME.items()]
    (place / "two.json").write_text(json.dumps([*same, *MORE]), "utf-8")
    script = str(HERE / "run_scenarios.py")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, STEPS, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(**WHOLE), str(place / "rank-0/begun by one"), quiet=True)
    words = (
        json.dumps(environments(2)),
        str(place / "two.json"),
        *(str(place / f"rank-{rank}") for rank in (0, 1)),
    )
    with started(script, *words, cwd=place) as two:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(methods, "__path__", [*methods.__path__, str(PLUGINS)])
            for name, changes in (SAME | {"half": HALF}).items():
                fit(tiny(**changes), str(place / "one" / name), quiet=True)
        said = two.communicate(timeout=DEADLINE)
        assert (two.returncode, *said) == (0, "", "")


def ends(place: Path, rank: int) -> list[str]:
    """What became of each scenario in one of the two processes."""
    found: list[str] = json.loads((place / f"rank-{rank}/ends.json").read_text("utf-8"))
    return found


def assert_near(found: Path, expected: Path) -> None:
    """Weights and statistics to 1e-8 of their size; counts exactly."""
    two, one = state_of(found), state_of(expected)
    for part in ("model", "method"):
        assert two[part].keys() == one[part].keys()
        for name, value in one[part].items():
            limit = 0.0 if "confusion" in name else 1e-8 * max(1.0, float(value.abs().max()))
            torch.testing.assert_close(
                two[part][name], value, rtol=0, atol=limit, msg=partial("{}: {}".format, name)
            )
    for record, other in zip(two["records"], one["records"], strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert (record["train_accuracy"], record["lr"]) == (other["train_accuracy"], other["lr"])


@pytest.mark.parametrize("name", SAME)
def test_two_processes_train_as_one(place: Path, name: str) -> None:
    assert_near(place / "rank-0" / name, place / "one" / name)


def test_what_a_phase_leaves_out_stays_as_it_was(place: Path) -> None:
    """Weight decay would move a classifier whose gradient is zero instead of none."""
    start = build_job(tiny(**SAME["replace"]), RunFolder(place), Display(1, quiet=True)).model.state_dict()
    found = state_of(place / "rank-0/replace")["model"]
    moved = {name for name in start if not torch.equal(found[name], start[name])}
    assert moved == {name for name in start if not name.startswith("heads.")}


def test_the_samplers_differ(place: Path) -> None:
    drawn = [
        log_of(place / "rank-0" / name)[-1]["loss"]
        for name in ("class_balanced", "square_root", "progressive")
    ]
    assert len({loss["cross_entropy"] for loss in drawn}) == 3


def test_half_precision(place: Path) -> None:
    two, one = (log_of(place / where / "half")[0] for where in ("rank-0", "one"))
    assert two["loss"] == pytest.approx(one["loss"], rel=0.05)


def test_scores_are_those_of_one_process(place: Path) -> None:
    folders = [place / where / "whole/eval/test" for where in ("rank-0", "one")]
    two, one = (json.loads((folder / "metrics.json").read_text("utf-8")) for folder in folders)
    exact = ("overall", "macro", "many", "medium", "few", "experts", "worst_class", "num_images", "epoch")
    assert {key: two[key] for key in exact} == {key: one[key] for key in exact}
    assert (two["nll"], two["ece"]) == pytest.approx((one["nll"], one["ece"]), abs=1e-5)
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in folders]
    pd.testing.assert_frame_equal(*tables, rtol=1e-4)


def test_only_the_first_process_writes(place: Path) -> None:
    whole = place / "rank-0/whole"
    assert {str(file.relative_to(whole)) for file in whole.rglob("*") if file.is_file()} == FILES
    assert [file.name for file in (place / "rank-1").iterdir()] == ["ends.json"]
    assert json.loads((whole / "env.json").read_text("utf-8"))["processes"] == 2


def test_what_one_process_refuses_all_refuse(place: Path) -> None:
    assert ends(place, 0) == ends(place, 1)
    *fine, taken, full, unreadable, _ = ends(place, 0)
    assert set(fine) == {"done", "interrupted"}
    assert f"{place / 'rank-0/whole'} is not empty" in taken
    assert full == "the disk of rank 0 is full ()"
    assert unreadable == "rank 1 cannot read ('a.png',)"
    assert list((place / "rank-0/full").iterdir()) == []
    assert not (place / "rank-0/unreadable").exists()


def test_a_run_is_resumed_with_another_number_of_processes(place: Path) -> None:
    stopped = place / "rank-0/begun by two"
    assert json.loads((stopped / "status.json").read_text("utf-8"))["status"] == "interrupted"
    assert len(log_of(stopped)) == 1
    fit(tiny(**WHOLE), str(stopped), resume=True, quiet=True)
    for name in ("begun by one", "begun by two"):
        assert_near(place / "rank-0" / name, place / "one/whole")


def test_ctrl_c_stops_all_and_leaves_a_run_to_go_on_with(place: Path) -> None:
    """The first process leaves its step at once; the other, in the middle of its own, is not to call that a fault."""
    status = {"status": "interrupted", "epoch": 1, "epochs": 2}
    assert RunFolder(place / "rank-0/ctrl-c").status() == status
    assert [ends(place, rank)[-1] for rank in (0, 1)] == ["interrupted"] * 2


def test_parts_are_contiguous_and_whole() -> None:
    for rows in (0, 1, 5, 6):
        parts = [Processes(rank, 3).part(torch.arange(rows)) for rank in range(3)]
        assert torch.equal(torch.cat(parts), torch.arange(rows))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_processes_that_cannot_find_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"):
        join_processes()
