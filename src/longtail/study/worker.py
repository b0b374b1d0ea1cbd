"""Cells are trained one by one; several processes that share the folders divide them by locks."""

import secrets
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from longtail.api import evaluate
from longtail.data.source_kinds import SourceReader
from longtail.engine.display import Display
from longtail.engine.job import load_on
from longtail.engine.train import training
from longtail.recipe.plan import prepare
from longtail.runs import layout
from longtail.runs.atomic_write import atomic_write, writing
from longtail.runs.folder import RunFolder
from longtail.runs.locks import HeldError, locked
from longtail.study.plan import Cell, Failure, Plan, recipe_for
from longtail.study.result import collect, machine_of, parameters, read_result, write_result
from longtail.study.settings import differences, stored_recipe
from longtail.types import InputError

AGAIN = 2.0  # seconds after which a cell that another process holds is tried again


class OutOfTimeError(Exception):
    """There is no time left, or nobody waits for the rest; what was begun can be resumed."""


@dataclass(frozen=True)
class News:
    """What a process says of a cell.

    Attributes:
        kind: "begins", "resumed", "done" or "failed".
        cell: row and seed.
        text: what there is to say of it.
    """

    kind: str
    cell: str
    text: str = ""


Say = Callable[[News], None]


@dataclass(frozen=True)
class Terms:
    """On what terms a process works.

    Attributes:
        known: failures that were there before; their cells are tried again, those of later ones are not.
        stop: whether to stop, asked between steps.
        threads: of the CPU's arithmetic, where the recipe leaves them open; 0 leaves them to PyTorch.
        quiet: show no epochs.
    """

    known: frozenset[str]
    stop: Callable[[], bool]
    threads: int = 0
    quiet: bool = False


def work(plan: Plan, terms: Terms, say: Say) -> None:
    """Train the cells that are neither done nor failed, until there are none; wait for those that others train.

    Raises:
        OutOfTimeError: `terms.stop` says so.
        KeyboardInterrupt: stopped by the user. The running cell can be resumed in both cases.
    """
    while left := open_cells(plan, terms.known):
        took = [_take(cell, plan, terms, say) for cell in left]
        if not any(took) and open_cells(plan, terms.known):
            _wait(terms)


def open_cells(plan: Plan, known: frozenset[str]) -> list[Cell]:
    """The cells that are neither done nor newly failed."""
    return [cell for cell in plan.cells if not cell.done and not is_failed(cell, known)]


def is_failed(cell: Cell, known: frozenset[str]) -> bool:
    """Whether a cell failed since the failures that are known."""
    failure = cell.failure
    return failure is not None and failure.token not in known


def write_failure(cell: Cell, reason: str, trace: str = "") -> None:
    """Keep why a cell failed."""
    failure = Failure(token=secrets.token_hex(8), reason=reason, trace=trace)
    with atomic_write(cell.failure_file) as partial:
        partial.write_text(failure.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _take(cell: Cell, plan: Plan, terms: Terms, say: Say) -> bool:
    """Train a cell to its end; False where another process has it, or had it meanwhile."""
    _check_time(terms)
    with suppress(HeldError), _held(cell):
        if cell.done or is_failed(cell, terms.known):
            return False
        try:
            if (known := _measured_elsewhere(cell, plan)) is not None:
                say(News("done", str(cell), f"{_write(cell, plan, known)}, measured by: {known['command']}"))
                return True
            say(News("resumed" if cell.begun else "begins", str(cell)))
            _train(cell, terms)
            say(News("done", str(cell), _finish(cell, plan)))
        except OutOfTimeError:
            raise
        except InputError as error:
            write_failure(cell, " ".join([str(error), *error.details]))
            say(News("failed", str(cell), str(error)))
        except Exception as error:  # whatever a method's own fault is, the other cells go on
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            write_failure(cell, reason, traceback.format_exc())
            say(News("failed", str(cell), f"{reason} (where: {cell.failure_file})"))
        return True
    return False


@contextmanager
def _held(cell: Cell) -> Iterator[None]:
    with writing(cell.lock):
        cell.lock.parent.mkdir(parents=True, exist_ok=True)
        with locked(cell.lock, f"another process trains {cell}"):
            yield


def _wait(terms: Terms) -> None:
    until = time.monotonic() + AGAIN
    while time.monotonic() < until:
        _check_time(terms)
        time.sleep(0.1)


def _check_time(terms: Terms) -> None:
    if terms.stop():
        raise OutOfTimeError


def _train(cell: Cell, terms: Terms) -> None:
    """Train a cell, or resume it, until it is finished."""
    data = {} if cell.recipe.data.path is None else {"data.path": cell.recipe.data.path}
    if cell.begun:
        target, out = str(cell.place), None
    else:
        RunFolder(cell.settings.parent).write_text(
            cell.settings.name, recipe_for(cell, terms.threads).to_toml()
        )
        target, out = str(cell.settings), cell.place
    read = SourceReader()
    planned = prepare(target, data, None, out, resume=cell.begun, read=read)
    display = Display(planned.recipe.optim.epochs, quiet=terms.quiet)
    steps = training(
        planned.recipe,
        RunFolder(planned.place),
        display,
        resume=planned.resumes,
        notes=planned.notes,
        load=partial(load_on, read=read),
    )
    try:
        for _ in steps:
            _check_time(terms)
    except InputError:
        for made in planned.made:
            with suppress(OSError):
                made.rmdir()
        raise
    finally:
        steps.close()


def _finish(cell: Cell, plan: Plan) -> str:
    """Write the result of a finished run; its scores in a line."""
    split = plan.study.split
    if cell.prior is not None:
        split = evaluate(cell.place, prior=cell.prior)["split"]
    found = collect(cell.place, split)
    settings = cell.recipe.model_dump(mode="json", exclude_none=True)
    for key in ("path", "root"):
        settings["data"].pop(key, None)
    measured = {
        "command": cell.command, "machine": machine_of(cell.place), "split": split,
        "parameters": parameters(cell.recipe, len(found["images"]["counts"])), "settings": settings,
        "seeds": {str(cell.seed): found},
    }  # fmt: skip
    return _write(cell, plan, measured)


def _write(cell: Cell, plan: Plan, measured: Mapping[str, Any]) -> str:
    """Write the result file of a cell."""
    row = plan.study.rows[cell.key]
    named = {"table": plan.study.name, "row": plan.study.title_of(cell.key), "paper": row.published}
    write_result(cell.result, {**named, "study": plan.study.name, "key": cell.key, **measured})
    cell.failure_file.unlink(missing_ok=True)
    (found,) = measured["seeds"].values()
    macro = found["metrics"]["macro"]
    return f"macro {'-' if macro is None else format(100 * macro, '.1f')}, {found['seconds']:.0f} s"


def _measured_elsewhere(cell: Cell, plan: Plan) -> dict[str, Any] | None:
    """The result of a cell of another study in the same folder that has the same settings, seed and evaluation."""
    if cell.prior is not None or cell.begun:
        return None
    for file in sorted(plan.results.glob(f"*.{layout.seed_folder(cell.seed)}.json")):
        result = read_result(file)
        if result.settings is None or result.split != plan.study.split:
            continue
        with suppress(InputError):  # of a method that is no more
            if not differences(stored_recipe(result.settings, cell.recipe), cell.recipe):
                return result.model_dump(mode="json", exclude={"table", "row", "paper", "study", "key"})
    return None
