"""What next? At most five lines, each a count and a command."""

import shlex
from collections.abc import Iterator
from itertools import islice

import numpy as np

from longtail.metrics.groups import GROUPS
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.run_sections import Confidence, Data, Step
from longtail.report.facts.sections import Classes, Confusions
from longtail.report.facts.words import classes, count, listed, of_hundred, whole
from longtail.report.run import ENOUGH, SPLITS, Run

MOST = 5
SURE = 0.9
CONFUSED = 0.2  # share of a class's images from which on a pair is worth merging
WORTH = 0.9  # share of the errors that a threshold may leave


def unseen_steps(run: Run, found: Data) -> tuple[Step, ...]:
    """Where nothing is evaluated: finish, evaluate, repair the data."""
    return tuple(islice((*_finish(run), *_evaluate(run), *_repair(found)), MOST))


def next_steps(
    run: Run, e: Evaluation, ranked: Classes, pairs: Confusions, sure: Confidence, found: Data
) -> tuple[Step, ...]:
    """The most useful things to do, most urgent first."""
    first = (*_finish(run), *_repair(found), *_review(e), *_merge(pairs))
    return (*first, *_collect(run, ranked), *_calibrate(run, e, sure), *_threshold(run, e, sure))[:MOST]


def _name(run: Run) -> str:
    return shlex.quote(run.name)


def _finish(run: Run) -> Iterator[Step]:
    if not run.finished:
        left = int(run.status["epochs"]) - int(run.status["epoch"])
        yield Step(f"Finish the run: {count(left, 'epoch')} to go.", f"longtail train --resume {_name(run)}")


def _evaluate(run: Run) -> Iterator[Step]:
    """Where no single image's answer is in the folder; scores of the log say that the run has a part of its own."""
    if run.finished:
        images = "" if run.metrics else " --data FOLDER"
        yield Step("Evaluate it: 0 images are recorded.", f"longtail evaluate {_name(run)}{images}")


def _repair(found: Data) -> Iterator[Step]:
    straddling = sum(len(set(entry.splits)) > 1 for entry in found.duplicates) + len(found.leaking_groups)
    if straddling:
        told = f"Split the data again: {count(straddling, 'set')} of related images straddle the splits."
        yield Step(told, "longtail data split FOLDER -o splits.csv --group-by folder:1")
    if found.unreadable:
        told = f"Repair or remove {count(len(found.unreadable), 'unreadable file')}."
        yield Step(told, "longtail data check FOLDER")


def _review(e: Evaluation) -> Iterator[Step]:
    surely_wrong = int((~e.right & (e.confidence >= SURE)).sum())
    if surely_wrong:
        images = count(surely_wrong, "image")
        told = f"Review the labels of {images} that it names otherwise and is {100 * SURE:.0f} % sure of."
        yield Step(told, "", "surest")


def _merge(pairs: Confusions) -> Iterator[Step]:
    mixed = [
        pair for pair in pairs.pairs if pair.both_ways and pair.share is not None and pair.share >= CONFUSED
    ]
    if mixed:
        pair = mixed[0]
        told = (
            f"{pair.name} and {pair.label} are taken for each other ({pair.count + pair.reverse} images): agree on "
            "their labels, or put both into one folder and train again."
        )
        yield Step(told, "longtail train FOLDER")


def _collect(run: Run, ranked: Classes) -> Iterator[Step]:
    if ranked.too_few or ranked.not_tested:
        thin = (*ranked.not_tested, *ranked.too_few)
        told = f"Label more test images: {classes(len(thin))} have fewer than {ENOUGH} ({listed(thin, 3)})."
        yield Step(told, _tested_again(run))
    weak = [row.name for row in ranked.rows if row.standing == "weak" and row.group == GROUPS[2]]
    rare = weak or [
        row.name for row in ranked.rows if row.group == GROUPS[2] and row.certainty in ("", "rough")
    ]
    if rare:
        told = (
            f"Collect training images of {classes(len(rare))} with few, the weakest first: {listed(rare, 3)}."
        )
        yield Step(told, "longtail data check FOLDER")


def _tested_again(run: Run) -> str:
    """What evaluates a run on more images than before."""
    if run.split not in SPLITS:
        return f"longtail evaluate {_name(run)} --data FOLDER"
    held_out = run.split == "val" and float(run.recipe["data"].get("validation", 0)) > 0
    return "longtail data split FOLDER -o splits.csv" if held_out else f"longtail evaluate {_name(run)}"


def _calibrate(run: Run, e: Evaluation, sure: Confidence) -> Iterator[Step]:
    """Where it boasts by more than luck explains and none is fitted: what training held out settled none."""
    if sure.temperature is not None or len(e.right) < ENOUGH or sure.before.confidence <= sure.upper:
        return
    told = (
        f"Fit a temperature: on {count(len(e.right), 'image')} it says {whole(sure.before.confidence)} % and is right "
        f"on {whole(sure.before.accuracy)} %."
    )
    yield Step(told, f"longtail calibrate {_name(run)} --data FOLDER")


def _threshold(run: Run, e: Evaluation, sure: Confidence) -> Iterator[Step]:
    """The first threshold that halves the errors, else the highest, where it takes away a tenth of them."""
    every = float((~e.right).mean())
    rows = [row for row in sure.answered if row.error is not None]
    row = next((row for row in rows if (row.error or 0) <= every / 2), rows[-1])
    threshold = float(np.floor(100 * row.threshold) / 100)
    answered = e.confidence >= threshold
    error = float((~e.right[answered]).mean())
    if answered.all() or len(e.right) < ENOUGH or error > WORTH * every:
        return
    told = (
        f"Leave the {whole(1 - float(answered.mean()))} % of images below {100 * threshold:.0f} % to a person: errors "
        f"fall from {of_hundred(every)} to {of_hundred(error)} of 100."
    )
    yield Step(
        told, f"longtail predict {_name(run)} PHOTOS -o predictions.csv --abstain-below {threshold:.2f}"
    )
