"""Estimates how long a recipe takes on this machine, by timing a few of its steps."""

import time
from dataclasses import dataclass, replace

import torch

from longtail.cpu import cpu_threads
from longtail.data import LongTailData
from longtail.engine.display import Display
from longtail.engine.fitted_heads import looked_at
from longtail.engine.job import Job, build_job
from longtail.engine.results import evaluate_split
from longtail.engine.step import StageTraining
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.types import Progress

STEPS = 4  # that are timed of each stage's first and last epoch, after one that is not
LONGEST = 6.0  # seconds after which no further step of an epoch is timed
LOOKED_AT = 2  # batches of images to evaluate


@dataclass(frozen=True)
class Timing:
    """Seconds that a recipe takes on this machine.

    Attributes:
        image: to train on one image once, reading it included; the mean over the stages.
        evaluated: to evaluate one image.
        images: of an epoch of training.
        judged: images of one evaluation.
        final: images of the evaluations after the last epoch, beside the one that ends it.
        where: "2 threads", "cuda".
        fitting: to fit classifiers before the first step, for each image looked at; 0 where none are fitted.
        fitted: images looked at for that.
    """

    image: float
    evaluated: float
    images: int
    judged: int
    final: int
    where: str
    fitting: float = 0.0
    fitted: int = 0

    @property
    def beginning(self) -> float:
        """Seconds before the first step: to fit the classifiers that the run begins with."""
        return self.fitting * self.fitted

    @property
    def tested(self) -> int:
        """Images of the validation and test split, each counted once, where `of_data` counted them."""
        return max(self.judged, self.final - self.judged)

    def run(self, epochs: int, every: int = 1) -> float:
        """Seconds of a run of so many epochs, evaluated each `every` epochs (0: after the last alone)."""
        evaluations = max(1, epochs // every if every else 1)
        tested = evaluations * self.judged + self.final
        return self.beginning + epochs * self.images * self.image + tested * self.evaluated

    def epochs_within(self, seconds: float, every: int = 1) -> int:
        """The most epochs whose run takes at most so long; 0 where one is too long."""
        first, second = self.run(1, every), self.run(2, every)
        return 0 if first > seconds else 1 + int((seconds - first) / max(1e-9, second - first))


def time_steps(recipe: Recipe, data: LongTailData) -> Timing:
    """Time a few real steps of a recipe, reading included, and the evaluation of some images; nothing is written.

    Args:
        recipe: what is timed.
        data: its images.
    """
    job = build_job(recipe, RunFolder("."), Display(1, quiet=True), load=lambda *_: data)
    total, fitting = 0.0, 0.0
    for position, stage in enumerate(job.stages):
        began = _now()
        training = StageTraining(job, position)
        if position == 0 and recipe.optim.fitted_heads:
            fitting = (_now() - began) / looked_at(data.train.targets, len(data.class_names))
        first = sum(earlier.epochs for earlier in job.stages[:position])
        epochs = sorted({0, stage.epochs - 1})
        started, each = _now(), list[float]()
        for epoch in epochs:
            if not each or _now() - started < LONGEST:
                each.append(_image_seconds(training, first, epoch))
        total += stage.epochs * sum(each) / len(each)
    timing = Timing(total / recipe.optim.epochs, _evaluated(job), 0, 0, 0, _where(job), fitting)
    return of_data(timing, data)


def of_data(timing: Timing, data: LongTailData) -> Timing:
    """The same speed for other images."""
    fitted = looked_at(data.train.targets, len(data.class_names))
    return of_parts(
        replace(timing, fitted=fitted), len(data.train), len(data.val or ()), len(data.test or ())
    )


def of_parts(timing: Timing, train: int, val: int, test: int) -> Timing:
    """The same speed for parts of so many images; 0: there is no such part."""
    final = 2 * val + test if val and test else val
    return replace(timing, images=train, judged=val or test, final=final)


def _where(job: Job) -> str:
    if job.runtime.device.type != "cpu":
        return str(job.runtime.device.type).upper()
    threads = cpu_threads(job.recipe.run.threads)
    return f"{threads} CPU thread{'s' * (threads != 1)}"


def _image_seconds(training: StageTraining, first: int, epoch: int) -> float:
    """Seconds for each image of some steps of an epoch of a stage."""
    job, stage = training.job, training.stage
    total = first + epoch
    step = total * job.steps_per_epoch
    progress = Progress(stage.name, epoch, stage.epochs, total, step, job.recipe.run.seed)
    counted, times = [], [_now()]
    for _ in training.epoch(progress):
        times.append(_now())
        counted.append(min(job.recipe.optim.batch_size, len(job.data.train)))
        if len(counted) > STEPS or times[-1] - times[0] > LONGEST:
            break
    skipped = 1 if len(counted) > 1 else 0
    return (times[-1] - times[skipped]) / sum(counted[skipped:])


def _evaluated(job: Job) -> float:
    """Seconds to evaluate one image, by some training images."""
    size = min(len(job.data.train), LOOKED_AT * 64)
    some = job.data.train.take(torch.arange(size, device=job.data.train.targets.device))
    started = _now()
    evaluate_split(job, replace(some, unreadable=()), job.stages[-1])
    return (_now() - started) / size


def _now() -> float:
    """Seconds; what an accelerator was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
