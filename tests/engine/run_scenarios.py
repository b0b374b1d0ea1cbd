"""Trains tiny runs one after the other in two processes that one start forks; run by test_processes.py."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 - what each of them would import at its first step
from tiny_runs import tiny

import longtail.engine.job as job_module
from few_digits import TESTED
from longtail.data.sources.named import digits
from longtail.engine import processes
from longtail.engine.train import fit
from longtail.methods.icl import ICL
from longtail.runs.folder import RunFolder
from longtail.types import InputError

ENVIRONMENTS, SCENARIOS, *PLACES = sys.argv[1:]  # JSON of each rank, and its folder


def run(name: str, out: Path, changes: dict[str, Any], trouble: str | None, resume: bool) -> str:
    """What became of it: "done", or what it was refused for."""
    undone = ICL.observe, RunFolder.write, job_module.load_data
    make_trouble(trouble)
    try:
        fit(tiny(**changes), str(out / name), resume=resume, quiet=True)
    except InputError as error:
        return f"{error} {error.details}"
    except KeyboardInterrupt:
        return "interrupted"
    finally:
        ICL.observe, RunFolder.write, job_module.load_data = undone
    return "done"


def make_trouble(trouble: str | None) -> None:
    observe, write = ICL.observe, RunFolder.write

    def stopping(self: Any, output: Any, batch: Any, progress: Any) -> None:
        if progress.epoch == 1 and trouble == "stop in epoch 1":
            raise KeyboardInterrupt
        if progress.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        observe(self, output, batch, progress)

    def full(self: Any, name: str, fill: Any) -> Path:
        if name == "state/last.pt":
            raise InputError("the disk of rank 0 is full")
        return write(self, name, fill)

    def unreadable(*_: Any, **__: Any) -> None:
        raise InputError("rank 1 cannot read", ["a.png"])

    if trouble in ("stop in epoch 1", "ctrl-c in epoch 1"):
        ICL.observe = stopping
    if trouble == "disk of rank 0" and os.environ["RANK"] == "0":
        RunFolder.write = full
    if trouble == "images of rank 1" and os.environ["RANK"] == "1":
        job_module.load_data = unreadable


def run_all(place: Path) -> None:
    place.mkdir(exist_ok=True)
    scenarios = json.loads(Path(SCENARIOS).read_text("utf-8"))
    ends = [run(s["name"], place, s["changes"], s["trouble"], s["resume"]) for s in scenarios]
    (place / "ends.json").write_text(json.dumps(ends), "utf-8")


if __name__ == "__main__":
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in what a script starts in the background
    digits.TEST_PER_CLASS = TESTED
    processes.GRACE = 90.0  # a busy machine needs more than five seconds to leave
    started = []
    for environment, place in zip(json.loads(ENVIRONMENTS), PLACES, strict=True):
        started.append(os.fork())
        if started[-1] == 0:
            os.environ |= environment
            run_all(Path(place))
            sys.exit()
    sys.exit(any(os.waitpid(process, 0)[1] for process in started))
