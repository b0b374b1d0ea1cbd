"""Short trainings on some of the training images, evaluated on others; nothing is written."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from longtail.data import DataOptions, LongTailData, batches
from longtail.data.holdout import hold_out, related_in
from longtail.engine.display import Display
from longtail.engine.evaluate import evaluation_batch, infer
from longtail.engine.features import survey
from longtail.engine.job import Job, build_job
from longtail.engine.step import StageTraining
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.search.comparison import units_of
from longtail.types import Progress

HELD_OUT = 0.25  # of the training images, to judge by;
JUDGED = 60  # of each class at most
KEPT = 20  # images of a class that a smaller training split keeps, where it has them and the classes are not too many
_STREAM = 0x73656172  # keeps these draws apart from others that use the same seed
Step = Callable[[int, int], None]


class OutOfTimeError(Exception):
    """A training takes longer than its limit."""


@dataclass(frozen=True)
class Division:
    """Rows of the training images that short trainings see, and those that they are judged on.

    Attributes:
        rows: (K,) sorted.
        held: (H,) sorted, of classes that have images in `rows`.
        units: (H,) the groups of `held` (near duplicates, bursts, patients); None: each image is by itself.
    """

    rows: Int64[ndarray, " k"]
    held: Int64[ndarray, " h"]
    units: Int64[ndarray, " h"] | None = None


def divide(data: LongTailData, options: DataOptions, seed: int) -> Division:
    """Hold training images out, as a function of the seed alone.

    Args:
        data: of the run; its validation and test images are not looked at.
        options: of the data, which say whether related images stay together.
        seed: of the draws.
    """
    targets = data.train.targets.cpu().numpy()
    groups = related_in(data.train, options).groups
    rows, held = hold_out(targets, len(data.class_names), HELD_OUT, seed, groups)
    held = _at_most(held, targets, JUDGED, seed)
    return Division(rows, held, units_of(groups, held))


def fewer(division: Division, data: LongTailData, count: int, seed: int) -> Division:
    """`count` of the rows to train on, see `_spread`; one of each class where there are more classes."""
    return replace(division, rows=_spread(division.rows, data, count, seed))


def at_most(division: Division, data: LongTailData, count: int, seed: int) -> Division:
    """`count` of the images of a division, `HELD_OUT` of them to judge by; two of each class where classes are more."""
    held = _spread(division.held, data, round(HELD_OUT * count), seed)
    units = None if division.units is None else division.units[np.isin(division.held, held)]
    return fewer(Division(division.rows, held, units), data, count - len(held), seed)


def _spread(rows: Int64[ndarray, " n"], data: LongTailData, count: int, seed: int) -> Int64[ndarray, " k"]:
    """`count` of these training images; one of each class where there are more classes.

    Each class keeps `KEPT` images, or all; where that is too many, fewer of each. What is left to choose goes to the
    classes by the images that they have beyond those.
    """
    if count >= len(rows):
        return rows
    targets = data.train.targets.cpu().numpy()[rows]
    classes, images = np.unique(targets, return_counts=True)
    kept = next((k for k in range(KEPT, 1, -1) if np.minimum(images, k).sum() <= count), 1)
    base = np.minimum(images, kept)
    share = max(0, count - base.sum()) / max(1, (images - base).sum())
    wanted = base + np.diff(np.floor(np.cumsum(share * (images - base)) + 1e-6), prepend=0).astype(np.int64)
    drawn = [
        np.random.default_rng([_STREAM, seed, c]).permutation(rows[targets == c])[:number]
        for c, number in zip(classes.tolist(), wanted.tolist(), strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def _at_most(
    rows: Int64[ndarray, " n"], targets: Int64[ndarray, " m"], most: int, seed: int
) -> Int64[ndarray, " k"]:
    kept = [
        np.random.default_rng([_STREAM, seed, c]).permutation(rows[targets[rows] == c])[:most]
        for c in np.unique(targets[rows]).tolist()
    ]
    return np.sort(np.concatenate(kept)) if kept else rows


def judged_logits(
    recipe: Recipe, data: LongTailData, division: Division, most: float, step: Step
) -> Float[Tensor, "h c"]:
    """What a network that is trained on the rows of a division says of those held out.

    Args:
        recipe: with the length of the training.
        data: of the run.
        division: of its training images.
        most: seconds that it may take.
        step: called with how many steps are done, and of how many.

    Returns:
        (H, C) joint logits, on the CPU.

    Raises:
        OutOfTimeError: it takes longer.
    """
    rows, held = (
        torch.from_numpy(part).to(data.train.targets.device) for part in (division.rows, division.held)
    )
    some = replace(data, train=data.train.take(rows), val=None, test=None)
    job = build_job(recipe, RunFolder("."), Display(recipe.optim.epochs, quiet=True), load=lambda *_: some)
    _train(job, time.monotonic() + most, step)
    device, stage = job.runtime.device, job.stages[-1]
    size = evaluation_batch(recipe.run.evaluate_batch_size, device, job.data.image_size)
    split = data.train.take(held)
    stream = batches(split, torch.arange(len(split)), size, device, workers=recipe.data.workers)
    answers = infer(job.model, job.method, stream, job.augment, stage.bank)
    return torch.cat([joint.float().cpu() for _, joint, _ in answers])


def _train(job: Job, until: float, step: Step) -> None:
    """All stages of a job, without a folder and without evaluation."""
    first, seed, steps = 0, job.recipe.run.seed, job.recipe.optim.epochs * job.steps_per_epoch
    for position, stage in enumerate(job.stages):
        training = StageTraining(job, position)
        for epoch in range(stage.epochs):
            done = (first + epoch) * job.steps_per_epoch
            progress = Progress(stage.name, epoch, stage.epochs, first + epoch, done, seed)
            survey(job, stage, progress)
            for _ in training.epoch(progress):
                done += 1
                step(done, steps)
                if time.monotonic() > until:
                    raise OutOfTimeError
        training.average.settle()
        first += stage.epochs
    with torch.no_grad():
        job.method.finalize(job.model, None)
