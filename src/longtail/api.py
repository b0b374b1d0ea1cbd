"""What the command line and Python share: from a target and a few words to a finished run."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from longtail.data.source_kinds import ReadSource, SourceReader
from longtail.engine.processes import join_processes
from longtail.engine.together import fit_together
from longtail.engine.train import fit
from longtail.planning import Plan, given_keys, plan_seeds, prepare, whole_number
from longtail.predict import Prior, load_run
from longtail.report import Run, SeedRuns
from longtail.types import InputError


def train(
    target: str | Path,
    *,
    data: str | Path | None = None,
    method: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
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
        seed: `run.seed` instead of the recipe's.
        out: run folder, new or empty; default `runs/<data>-<method>-<model>`, numbered when that exists.
        set: further keys of the recipe, "section.key" -> value.
        resume: continue the run in `target` or `out`, or the newest default-named run of an equal recipe;
            where there is none yet, start it.
        strict: refuse unreadable images and whatever else would be skipped and reported (`data.strict`).
        quiet: show nothing.

    Returns:
        The run, whose `path` and `metrics` say where it lies and how good it is.

    Raises:
        InputError: something given cannot be used; unless an epoch was finished, nothing is left behind.
        KeyboardInterrupt: stopped by the user; the message says how to continue.
    """
    epochs, seed = whole_number("epochs", epochs), whole_number("seed", seed)
    given = given_keys(set, data=data, method=method, model=model, strict=strict, seed=seed)
    processes = join_processes()
    read = SourceReader()
    planned = processes.on_first(lambda: prepare(str(target), given, epochs, out, resume, read))
    _fit(planned, planned.made if processes.is_first else (), read, quiet=quiet)
    return Run(planned.place)


def train_seeds(
    target: str | Path,
    seeds: Sequence[int] | None = None,
    *,
    data: str | Path | None = None,
    method: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
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
        out: folder of the run folders `seed-0`, `seed-1`, ... and of summary.json, new or empty; default
            `runs/<data>-<method>-<model>-seeds`, numbered when that exists.
        set: further keys of the recipe.
        resume: continue the runs of `target` or `out`; those that have not begun begin.
        strict: refuse what would be skipped and reported.
        quiet: show nothing.

    Returns:
        The runs, and the mean and standard deviation of their scores.

    Raises:
        InputError: something given cannot be used.
        KeyboardInterrupt: stopped by the user; the message says how to continue.
    """
    if join_processes().count > 1:
        raise InputError(
            "several seeds at once run in one process; start them without a launcher, or one by one"
        )
    given = given_keys(set, data=data, method=method, model=model, strict=strict)
    read = SourceReader()
    recipes, notes, runs, missing = plan_seeds(
        str(target), seeds, given, whole_number("epochs", epochs), out, resume, read
    )
    going_on = [resume and (folder.path / "recipe.toml").is_file() for folder in runs.folders]
    try:
        runs.write_plan()
        fit_together(recipes, runs.folders, resume=going_on, quiet=quiet, notes=notes, read=read)
    except (KeyboardInterrupt, InputError) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        if not any(going_on) and not (runs.begun if stopped else runs.worth_keeping):
            runs.clear()
            _remove_empty(missing)
            if stopped:
                raise KeyboardInterrupt("interrupted before the first step; nothing was written") from None
        if stopped:
            again = f"longtail train {shlex.quote(str(runs.path))} --resume"
            raise KeyboardInterrupt(f"interrupted; continue with: {again}") from None
        raise
    runs.summarise()
    return runs


def evaluate(
    run: str | Path, data: str | Path | None = None, *, strict: bool = False, prior: Prior | None = None
) -> dict[str, Any]:
    """Evaluate a run and write `eval/<split>/` into its folder.

    Args:
        run: the run folder.
        data: a set of images in any form that `train` takes, matched to the classes by name: its test part, or all of
            it where it has no parts; default: the run's own test part, or its validation part where it has none.
        strict: refuse unreadable images, unknown classes and classes without images.
        prior: class mix expected in use: "uniform", "train", a file, or class -> weight; default: the method's own.

    Returns:
        The content of metrics.json.
    """
    return load_run(run).evaluate(data, strict=strict, prior=prior)


def _fit(planned: Plan, made: Sequence[Path], read: ReadSource, *, quiet: bool) -> None:
    """Train; a run that is refused before its first finished epoch leaves no folder behind."""
    folder = planned.place
    try:
        fit(
            planned.recipe, str(folder), resume=planned.goes_on, quiet=quiet, notes=planned.notes, read=read
        )  # fmt: skip
    except KeyboardInterrupt:
        _remove_empty(made)
        if (folder / "recipe.toml").is_file():
            again = f"longtail train {shlex.quote(str(folder))} --resume"
            raise KeyboardInterrupt(f"interrupted; continue with: {again}") from None
        raise KeyboardInterrupt("interrupted before the first step; nothing was written") from None
    except InputError:
        _remove_empty(made)
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
