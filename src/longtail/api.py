"""What the command line and Python share: from a target and a few words to a finished run."""

import functools
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from longtail.data.source_kinds import ReadSource, SourceReader, counting
from longtail.engine.display import Display
from longtail.engine.job import Load, load_on
from longtail.engine.processes import join_processes
from longtail.engine.together import fit_together
from longtail.engine.train import fit
from longtail.predict import Prior, load_run
from longtail.recipe.plan import Plan, given_keys, plan, plan_seeds
from longtail.recipe.plan.command import settle_folder
from longtail.runs import Run, SeedRuns, layout
from longtail.runs.folder import RunFolder
from longtail.search import (
    Budget,
    Found,
    Search,
    begun,
    fit_within,
    minutes_of,
    search,
    training_seconds,
)
from longtail.train_arguments import checked_epochs, checked_minutes, whole_number
from longtail.types import InputError

NOT_BEGUN = "interrupted before the first step; nothing was written, and the same command begins again"


def train(
    target: str | Path,
    *,
    data: str | Path | None = None,
    method: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    resume: bool = False,
    strict: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a recipe, or on a folder of images, and evaluate.

    Args:
        target: a shipped recipe, a recipe.toml, a folder, table or list of images, or annotations; with `resume` also a
            run folder.
        data: where the images are (`data.path`).
        method: `method.name` instead of the recipe's.
        model: `model.name` instead of the recipe's.
        epochs: length of the run; the recipe's epoch windows scale with it.
        minutes: for images without a recipe and a length: what the command may take. At most a third of it goes into
            comparing settings on training images that are held out for that; features of training images, which a run
            on features needs too, are counted apart. 0 takes the suggested settings.
        seed: `run.seed` instead of the recipe's.
        out: run folder, new or empty; default `runs/<data>-<method>-<model>`, numbered when that exists.
        set: further keys of the recipe, "section.key" -> value.
        resume: resume the run in `target` or `out`, or the newest default-named run of an equal recipe;
            where there is none yet, start it.
        strict: refuse unreadable images and whatever else would be skipped and reported (`data.strict`).
        quiet: show nothing.

    Returns:
        The run, whose `path` and `metrics` say where it lies and how good it is.

    Raises:
        InputError: something given cannot be used; unless an epoch was finished, nothing is left behind.
        KeyboardInterrupt: stopped by the user; the message says how to resume.
    """
    epochs, seed = checked_epochs(epochs), whole_number("seed", seed)
    minutes = checked_minutes(minutes, epochs)
    given = given_keys(set, data=data, method=method, model=model, strict=strict, seed=seed)
    processes, read, began = join_processes(), SourceReader(), time.monotonic()
    seconds = training_seconds(minutes, epochs or given.get("optim.epochs"))
    planned = processes.run_on_main(lambda: plan(str(target), given, epochs, resume, read, seconds))
    granted = minutes_of(planned, minutes, str(target))
    if (
        granted
        and resume
        and (earlier := processes.run_on_main(lambda: begun(planned, given, granted, out, read)))
    ):
        planned, granted, out = earlier, 0.0, None
    display = Display(planned.recipe.optim.epochs, quiet=quiet or not processes.is_first)
    load = _loader(read, display, divided_later=granted > 0)
    found, budget = None, Budget(granted, began) if granted else None
    if budget is not None:
        with _nothing_written():
            found = processes.run_on_main(lambda: search(planned, given, budget, out, display, load, read))
        planned = replace(planned, recipe=found.recipe, notes=(), reasons={})
        display.epochs = found.recipe.optim.epochs
    settled = processes.run_on_main(lambda: settle_folder(planned, out, resume, str(target)))
    with _tidied(settled.place, settled.made if processes.is_first else ()):
        if found is None or budget is None:
            fit(
                settled.recipe, str(settled.place), resume=settled.resumes, notes=settled.notes, display=display,
                load=load,
            )  # fmt: skip
        else:
            fit_within(found, RunFolder(settled.place), budget, display, settled.notes, load, processes)
    return Run(settled.place)


def train_seeds(
    target: str | Path,
    seeds: Sequence[int] | None = None,
    *,
    data: str | Path | None = None,
    method: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    out: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    resume: bool = False,
    strict: bool = False,
    quiet: bool = False,
) -> SeedRuns:
    """Train the same over several seeds at once in one process; each run ends as it would have ended alone.

    Args:
        target: as for `train`; with `resume` also the folder of such runs.
        seeds: the seeds, each once; None takes those that the folder `target` was started with.
        data: as for `train`, as are all but the next two.
        method: `method.name`.
        model: `model.name`.
        epochs: length of the runs.
        minutes: as for `train`, for all runs; settings are found once, with the first seed.
        out: folder of the run folders `seed-0`, `seed-1`, ... and of summary.json, new or empty; default
            `runs/<data>-<method>-<model>-seeds`, numbered when that exists.
        set: further keys of the recipe.
        resume: resume the runs of `target` or `out`; those that have not begun begin.
        strict: refuse what would be skipped and reported.
        quiet: show nothing.

    Returns:
        The runs, and the mean and standard deviation of their scores.

    Raises:
        InputError: something given cannot be used.
        KeyboardInterrupt: stopped by the user; the message says how to resume.
    """
    if join_processes().count > 1:
        raise InputError(
            "several seeds at once run in one process; start them without a launcher, or one by one"
        )
    given = given_keys(set, data=data, method=method, model=model, strict=strict)
    number, read, began = checked_epochs(epochs), SourceReader(), time.monotonic()
    display, minutes = Display(1, quiet=quiet), checked_minutes(minutes, number)
    runs_at_once = len(seeds or ())
    seconds = training_seconds(minutes, number or given.get("optim.epochs"), runs_at_once)
    load = _loader(read, display, max(1, runs_at_once), divided_later=minutes != 0 and number is None)
    chosen: list[Search] = []

    def settle(planned: Plan) -> Plan:
        granted = minutes_of(planned, minutes, str(target))
        if not granted:
            return planned
        budget = Budget(granted, began)
        found = _search_once(planned, given, budget, display, load, read, runs_at_once, resume)
        chosen.append(found.search)
        return replace(planned, recipe=found.recipe, notes=(), reasons={})

    planned = plan_seeds(str(target), seeds, given, number, out, resume, read, settle, seconds)
    runs = planned.runs
    display.epochs, kept = planned.recipes[0].optim.epochs, chosen[0].contents() if chosen else None
    going_on = [resume and (folder.path / layout.RECIPE).is_file() for folder in runs.folders]
    try:
        runs.write_plan()
        fit_together(
            planned.recipes, runs.folders, resume=going_on, notes=planned.notes, display=display, load=load, chosen=kept
        )  # fmt: skip
    except (KeyboardInterrupt, InputError) as error:
        _clear_seeds(error, runs, planned.made, is_new=not any(going_on))
    runs.summarise()
    return runs


def _loader(read: ReadSource, display: Display, sets: int = 1, *, divided_later: bool) -> Load:
    """Gives data and remembers them, `sets` at once; shows how many images are read.

    Args:
        read: lists the source.
        display: called with the number of images read.
        sets: how many are remembered.
        divided_later: whether a search will hold some of the training images out.
    """
    counted = counting(read, display.work)
    return functools.lru_cache(sets)(functools.partial(load_on, read=counted, divided_later=divided_later))


def _search_once(
    planned: Plan,
    given: Mapping[str, Any],
    budget: Budget,
    display: Display,
    load: Load,
    read: ReadSource,
    runs: int,
    resume: bool,
) -> Found:
    """Settings for the runs of several seeds."""
    if resume:
        raise InputError("runs of several seeds are resumed by their folder: longtail train DIR --resume")
    with _nothing_written():
        return search(planned, given, budget, None, display, load, read, runs=runs)


def _clear_seeds(error: BaseException, runs: SeedRuns, made: Sequence[Path], *, is_new: bool) -> NoReturn:
    """Leave nothing behind of runs that have not begun, and say how those that have are resumed."""
    stopped = isinstance(error, KeyboardInterrupt)
    if is_new and not (runs.begun if stopped else runs.worth_keeping):
        runs.clear()
        _remove_empty(made)
        if stopped:
            raise KeyboardInterrupt(NOT_BEGUN) from None
    if stopped:
        again = f"longtail train {shlex.quote(str(runs.path))} --resume"
        raise KeyboardInterrupt(f"interrupted; resume with: {again}") from None
    raise error


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    strict: bool = False,
    prior: Prior | None = None,
    views: int = 1,
) -> dict[str, Any]:
    """Evaluate a run and write `eval/<split>/` into its folder.

    Args:
        run: the run folder.
        data: a set of images in any form that `train` takes, matched to the classes by name: its test split, or all of
            it where it is not divided; default: the run's own test split, or its validation split where it has none.
        strict: refuse unreadable images, unknown classes and classes without images.
        prior: class prior expected in use: "uniform", "train", a file, or class -> weight; default: the method's own.
        views: of each image, over which probabilities are averaged: 1, 2, 5 or 10, see `Predictor.predict`; of several
            the scores lie in `eval/<split>-views-<N>/`.

    Returns:
        The content of metrics.json.
    """
    return load_run(run).evaluate(data, strict=strict, prior=prior, views=views)


@contextmanager
def _nothing_written() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(NOT_BEGUN) from None


@contextmanager
def _tidied(folder: Path, made: Sequence[Path]) -> Iterator[None]:
    """A run that is refused before its first finished epoch leaves no folder behind."""
    try:
        yield
    except KeyboardInterrupt:
        _remove_empty(made)
        if (folder / layout.RECIPE).is_file():
            again = f"longtail train {shlex.quote(str(folder))} --resume"
            raise KeyboardInterrupt(f"interrupted; resume with: {again}") from None
        raise KeyboardInterrupt(NOT_BEGUN) from None
    except InputError:
        _remove_empty(made)
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
