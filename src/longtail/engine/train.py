"""Training of a run from start to end: stages, epochs, and checkpoints."""

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import torch

from longtail.engine.checkpoint import load_state, random_state, restoring, save_state, set_random_state
from longtail.engine.display import Display
from longtail.engine.evaluate import Evaluation
from longtail.engine.features import held_out, survey
from longtail.engine.frozen import use_features
from longtail.engine.job import Job, Load, build_job, describe_job, load_on
from longtail.engine.moved import check_there, settle_images
from longtail.engine.processes import join_processes
from longtail.engine.results import evaluate_split, find_temperature, write_evaluations, write_weights
from longtail.engine.step import StageTraining
from longtail.method import Stage
from longtail.recipe import Recipe
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.types import InputError, Progress

KEEP_EVERY = 5.0  # seconds


def fit(
    recipe: Recipe,
    out: str,
    *,
    resume: bool = False,
    quiet: bool = False,
    notes: Sequence[str] = (),
    display: Display | None = None,
    load: Load = load_on,
) -> RunFolder:
    """Train, evaluate, and leave everything in a run folder.

    Args:
        recipe: what to do.
        out: the run folder: new or empty, or with `resume` one that holds a run of the same recipe.
        resume: begin after the last finished epoch; a finished run is left as it is.
        quiet: print nothing.
        notes: what to tell about the recipe, once nothing is left that could be refused.
        display: shows it; None: one that is made for it.
        load: gives the data.

    Raises:
        InputError: the data, the folder or the machine does not allow the run, or a loss term stopped being finite.
        KeyboardInterrupt: the user stopped it; the folder can be resumed.
    """
    folder = RunFolder(out)
    shown = display or Display(recipe.optim.epochs, quiet=quiet or not join_processes().is_first)
    for _ in training(recipe, folder, shown, resume=resume, notes=notes, load=load):
        pass
    return folder


def training(
    recipe: Recipe,
    folder: RunFolder,
    display: Display,
    *,
    resume: bool = False,
    notes: Sequence[str] | None = (),
    load: Load = load_on,
    chosen: Mapping[str, Any] | None = None,
) -> Generator[None, None, None]:
    """`fit` with a pause after each step, in which the caller may do something else.

    Args:
        recipe: what to do.
        folder: see `fit`, as are the next two.
        display: shows it.
        resume: begin after the last finished epoch.
        notes: see `fit`; None also leaves out what there is to tell about the data and the network.
        load: gives the data.
        chosen: how the settings of a run that begins were chosen, kept as search.json.
    """
    processes = join_processes()
    with processes.interruptible(), ExitStack() as held:
        if resume and processes.run_on_main(lambda: _is_done(folder, recipe)):
            display.say(f"{folder.path} is finished; nothing to resume")
            return
        held.enter_context(display)
        if resume:
            processes.run_on_main(lambda: check_there(recipe, folder))
            processes.run_on_main(lambda: _hold(folder, held))
            state = processes.run_on_main(lambda: load_state(folder, recipe))
            begin = state is None or recipe.model.frozen  # the state holds no frozen backbone
            job = processes.on_each(lambda: build_job(recipe, folder, display, processes, load, begin=begin))
            processes.run_on_main(lambda: settle_images(job, state))
            yield from _train(job, state, notes)
        else:
            processes.run_on_main(folder.check_free)
            job = processes.on_each(lambda: build_job(recipe, folder, display, processes, load))
            processes.run_on_main(lambda: _take(folder, held))
            yield from _begin(job, notes, chosen)


def _is_done(folder: RunFolder, recipe: Recipe) -> bool:
    return load_state(folder, recipe) is not None and bool(folder.status()["status"] == "done")


def _hold(folder: RunFolder, held: ExitStack) -> None:
    held.enter_context(folder.locked())
    folder.is_training = True


def _take(folder: RunFolder, held: ExitStack) -> None:
    folder.create()
    _hold(folder, held)
    folder.check_free()


def _begin(job: Job, notes: Sequence[str] | None, chosen: Mapping[str, Any] | None) -> Iterator[None]:
    """Train from the start; what is refused before its first finished epoch leaves nothing behind."""
    try:
        job.processes.run_on_main(lambda: describe_job(job))
        if chosen is not None:
            job.processes.run_on_main(lambda: job.folder.write_json(layout.SEARCH, chosen))
        yield from _train(job, None, notes)
    except InputError:
        if job.processes.is_first and not job.folder.checkpoint.is_file():
            job.folder.clear()
        raise


def _train(job: Job, state: dict[str, Any] | None, notes: Sequence[str] | None) -> Iterator[None]:
    try:
        for line in (
            ()
            if notes is None
            else (*notes, *job.data.notes.reading, *job.data.notes.lines(), *_files(job), *job.headlines)
        ):
            (job.display.within or job.display).say(line)
        if job.recipe.model.frozen:
            use_features(job)
        yield from _run(job, state)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | GeneratorExit)
        _stopped(job, "interrupted" if stopped else "failed")
        raise
    epochs = job.recipe.optim.epochs
    job.processes.run_on_main(lambda: job.folder.set_status("done", epoch=epochs, epochs=epochs))


def _stopped(job: Job, status: str) -> None:
    if not job.processes.is_first:
        return
    try:
        job.folder.set_status(status, epoch=len(job.records), epochs=job.recipe.optim.epochs)
    except InputError as error:
        job.display.say(f"{layout.STATUS} could not be brought up to date: {error}")


def _files(job: Job) -> list[str]:
    """What became of all files of the data, where some are left out."""
    return [job.data.files.line()] if job.data.notes.left_out else []


def _run(job: Job, state: dict[str, Any] | None) -> Iterator[None]:
    """All stages of a run, and its last evaluation; pauses after each step."""
    done = _restore(job, state) if state is not None else 0
    first = 0
    evaluated: Mapping[str, Evaluation] = {}
    for position, stage in enumerate(job.stages):
        start, stop = max(done, first), first + stage.epochs
        if start >= stop:  # finished before the run was stopped
            first = stop
            continue
        resumes = state is not None and first < start
        with restoring(job.folder) if resumes else nullcontext():
            training = StageTraining(job, position, state if resumes else None)
        for total_epoch in range(start, stop):
            evaluated = yield from _run_epoch(job, training, total_epoch, total_epoch - first)
        first = stop
        del training  # its momentum, recordings and stored features make room for those of the next stage
    last = job.stages[-1]
    with torch.no_grad():
        said = job.method.finalize(job.model, held_out(job, last))
    if said is not None:
        job.display.say(said)
    temperature = job.processes.run_on_main(lambda: find_temperature(job, last))
    job.processes.run_on_main(lambda: write_weights(job, last, temperature))
    holds = temperature is None and said is None
    write_evaluations(job, last, temperature, evaluated if holds else {})


def _run_epoch(
    job: Job, training: StageTraining, total_epoch: int, epoch: int
) -> Generator[None, None, Mapping[str, Evaluation]]:
    """One epoch, its record, and the state after it; returns the evaluation that ends a stage, by split."""
    started, stage = time.perf_counter(), training.stage
    step = total_epoch * job.steps_per_epoch
    progress = Progress(stage.name, epoch, stage.epochs, total_epoch, step, job.recipe.run.seed)
    record: dict[str, Any] = {"epoch": total_epoch, "stage": stage.name, "stage_epoch": epoch}
    survey(job, stage, progress)
    record |= yield from training.epoch(progress)
    record["train_seconds"] = round(time.perf_counter() - started, 3)
    average, ends = training.average, epoch + 1 == stage.epochs
    if ends:
        average.settle()
    every = job.recipe.run.evaluate_every
    evaluated: Mapping[str, Evaluation] = {}
    with nullcontext() if ends else average.shown():
        if ends or (every and (total_epoch + 1) % every == 0):
            evaluated = _evaluate(job, stage)
            record |= _scores(job, evaluated)
    record["seconds"] = round(time.perf_counter() - started, 3)
    _check_finite(job, record)
    records = [*job.records, record]
    if not _is_kept(job, ends=ends):
        job.records.append(record)
        return {}
    job.processes.run_on_main(lambda: save_state(job.folder, _state(job, training, records)))
    job.records.append(record)
    with nullcontext() if ends else average.shown():
        job.processes.run_on_main(lambda: _publish(job, stage))
    job.display.epoch(record)
    return evaluated if ends else {}


def _is_kept(job: Job, *, ends: bool) -> bool:
    """Whether an epoch's state is written and published; on stored features, epochs pass faster than disks write."""
    now = time.perf_counter()
    kept = ends or not job.recipe.model.frozen or now - job.kept_at >= KEEP_EVERY
    job.kept_at = now if kept else job.kept_at
    return job.processes.run_on_main(lambda: kept)


def _evaluate(job: Job, stage: Stage) -> dict[str, Evaluation]:
    """Of the validation split, or, where there is none, of the test split."""
    name, split = ("test", job.data.test) if job.data.val is None else ("val", job.data.val)
    if split is None:
        return {}
    return {name: evaluate_split(job, split, stage, probed="expert_kl" in job.recipe.run.probes)}


def _scores(job: Job, evaluated: Mapping[str, Evaluation]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for name, evaluation in evaluated.items():
        scores[name] = job.classes.scores(evaluation.counts)
        if evaluation.divergence is not None:
            scores["expert_kl"] = evaluation.divergence
    return scores


def _publish(job: Job, stage: Stage) -> None:
    """Write what others may read of the finished epochs."""
    write_weights(job, stage)
    job.folder.write_log(job.records)
    job.folder.set_status("running", epoch=len(job.records), epochs=job.recipe.optim.epochs)


def _check_finite(job: Job, record: dict[str, Any]) -> None:
    """Keep an epoch out of the state whose last step ruined the weights."""
    parameters = (*job.model.parameters(), *job.method.parameters())
    sound = torch.stack([parameter.isfinite().all() for parameter in parameters]).all()
    scored = [scores["nll"] for scores in record.values() if isinstance(scores, dict) and "nll" in scores]
    if not sound or not all(nll is None or math.isfinite(nll) for nll in scored):
        raise InputError(
            f"the weights are not finite after epoch {record['epoch'] + 1}; lower optim.peak_lr "
            "(what the epochs before it made is kept)"
        )


def _state(job: Job, training: StageTraining, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scaler, average = job.runtime.scaler, training.average
    return {
        "recipe": job.recipe.model_dump(mode="json"),
        "index_hash": job.data.index_hash,
        "records": list(records),
        "model": job.model.state_dict(),
        "method": job.method.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "average": average.state_dict() if average.is_known else None,
        "scaler": None if scaler is None else scaler.state_dict(),
        "random": random_state(),
    }


def _restore(job: Job, state: dict[str, Any]) -> int:
    """Bring a fresh job to a saved state; returns the number of finished epochs."""
    with restoring(job.folder):
        job.model.load_state_dict(state["model"])
        job.method.load_state_dict(state["method"])
        set_random_state(state["random"])
        if job.runtime.scaler is not None:
            job.runtime.scaler.load_state_dict(state["scaler"])
    job.records.extend(state["records"])
    last = next(stage for stage in job.stages if stage.name == job.records[-1]["stage"])
    job.processes.run_on_main(lambda: _publish(job, last))
    job.display.say(f"resuming {job.folder.path} after epoch {len(job.records)} of {job.recipe.optim.epochs}")
    return len(job.records)
