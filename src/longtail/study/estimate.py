"""What a study would run, what of it is done, and about how long the rest takes on this machine."""

import functools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from longtail.data.dataset import counted
from longtail.engine.display import Display
from longtail.engine.job import load_on
from longtail.engine.runtime import environment, start_runtime
from longtail.engine.train import training
from longtail.recipe.plan import prepare
from longtail.records import read_lines
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.locks import HeldError, locked
from longtail.runs.schema import EpochRecord
from longtail.study.plan import Cell, Plan, recipe_for
from longtail.study.result import machine_of, read_result
from longtail.types import InputError

FIRST, STEPS = 1, 3  # steps that are not timed, for they load what later ones share; steps that are
LONGEST = 15.0  # seconds after which no further step of a row is timed
MACHINE = ("device", "device_name", "cpu_capability", "cpu_count")


@dataclass(frozen=True)
class Forecast:
    """A cell and what is left of it.

    Attributes:
        cell: see there.
        state: where it stands, in words.
        seconds: about how long it takes yet; None where that is not known.
        basis: what the estimate rests on; why there is none.
    """

    cell: Cell
    state: str
    seconds: float | None
    basis: str


@dataclass(frozen=True)
class _Pace:
    """Seconds of an epoch, and where they are from."""

    seconds: float
    basis: str


def forecast(plan: Plan, threads: int, say: Callable[[str], None]) -> list[Forecast]:
    """What is left of each cell of a plan; nothing is written, rows without finished epochs are timed for some steps.

    Args:
        plan: see there.
        threads: see `recipe_for`.
        say: called with the row that is timed.
    """
    known: dict[str, _Pace | str] = {}
    for cell in plan.cells:
        pace = _finished(cell, plan, threads)
        if pace is not None:
            known.setdefault(cell.key, pace)
    return [_forecast(cell, known, threads, say) for cell in plan.cells]


def total(forecasts: Sequence[Forecast], workers: int) -> float:
    """Seconds until all is done: the work divided among the workers, but no less than its longest cell."""
    left = [one.seconds or 0.0 for one in forecasts]
    return max(max(left, default=0.0), sum(left) / workers)


def _forecast(
    cell: Cell, known: dict[str, _Pace | str], threads: int, say: Callable[[str], None]
) -> Forecast:
    if cell.done:
        return Forecast(cell, "done", 0.0, "")
    if cell.key not in known:
        say(f"timing {STEPS} steps of {cell.key}")
        known[cell.key] = _timed(cell, threads)
    pace, done = known[cell.key], len(_log(cell))
    epochs = cell.recipe.optim.epochs
    state = f"{done} of {counted(epochs, 'epoch')}" if done else "to do"
    if _is_held(cell):
        state += ", another process trains it"
    elif cell.failure is not None:
        state += ", failed before"
    if isinstance(pace, str):
        return Forecast(cell, state, None, pace)
    return Forecast(cell, state, (epochs - done) * pace.seconds, pace.basis)


def _log(cell: Cell) -> list[EpochRecord]:
    file = cell.place / layout.LOG
    return read_lines(file, EpochRecord, "train again") if file.is_file() else []


def _is_held(cell: Cell) -> bool:
    if not cell.lock.is_file():
        return False
    try:
        with locked(cell.lock, "held"):
            return False
    except HeldError:
        return True


def _finished(cell: Cell, plan: Plan, threads: int) -> _Pace | None:
    """From a result of the cell's row or its own finished epochs, where they were made on a machine like this one."""
    for file in sorted(plan.results.glob(f"{plan.study.name}.{cell.key}.{layout.seed_folder('*')}.json")):
        result = read_result(file)
        (seed, found), epochs = next(iter(result.seeds.items())), cell.recipe.optim.epochs
        if _is_here(result.machine, cell, threads):
            return _Pace(found.seconds / epochs, f"seed {seed}, finished")
    log = _log(cell)
    if not log or not _is_here(machine_of(cell.place), cell, threads):
        return None
    each = sum(record.seconds or 0.0 for record in log) / len(log)
    return _Pace(each, f"{counted(len(log), 'epoch')} of seed {cell.seed}")


def _is_here(machine: Mapping[str, Any], cell: Cell, threads: int) -> bool:
    recipe = recipe_for(cell, threads)
    here = environment(start_runtime(recipe.run.device, "fp32"))
    wanted = recipe.run.threads or here["threads"]
    alike = all(machine.get(key) == here[key] for key in MACHINE)
    return alike and (here["device"] != "cpu" or machine.get("threads") == wanted)


class _Counter(Display):
    """A silent display that knows how many steps the run has."""

    steps = 0

    def step(self, stage: str, epoch: int, done: int, total: int) -> None:
        self.steps = total


def _timed(cell: Cell, threads: int) -> _Pace | str:
    """Seconds of an epoch by some steps of the first one; why there are none, where the run is refused."""
    recipe, threads_before = recipe_for(cell, threads), torch.get_num_threads()
    try:
        with tempfile.TemporaryDirectory() as place:
            seconds, steps = _time_steps(cell, recipe.to_toml(), Path(place))
    except InputError as error:
        return f"would be refused: {error}"
    finally:
        torch.set_num_threads(threads_before)
    each = seconds * steps / recipe.optim.epochs
    return _Pace(each, "steps of its first epoch, evaluations not counted")


def _time_steps(cell: Cell, recipe: str, place: Path) -> tuple[float, int]:
    """Seconds of a step, and how many steps the run has."""
    file = place / layout.RECIPE
    file.write_text(recipe, encoding="utf-8")
    data = {} if cell.recipe.data.path is None else {"data.path": cell.recipe.data.path}
    planned = prepare(str(file), data, None, place / "run", resume=False)
    display = _Counter(planned.recipe.optim.epochs, quiet=True)
    run = training(planned.recipe, RunFolder(planned.place), display, notes=None, load=_load)
    with closing(run) as steps:
        times = [_now()]
        while len(times) <= FIRST + STEPS and times[-1] - times[0] < LONGEST:
            next(steps, None)
            times.append(_now())
        first = min(FIRST, len(times) - 2)
        return (times[-1] - times[first]) / (len(times) - 1 - first), display.steps


_load = functools.lru_cache(1)(load_on)  # rows of an equal budget share their data


def _now() -> float:
    """Seconds; what an accelerator was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
