"""Short trainings of classifiers on stored features, in memory, to compare methods and settings."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.data import Split, batches
from longtail.engine.display import Display
from longtail.engine.evaluate import infer
from longtail.engine.features import survey
from longtail.engine.frozen import use_features
from longtail.engine.job import Job, Load, build_job, load_on
from longtail.engine.step import StageTraining
from longtail.features import ImageFeatures
from longtail.models import FeatureModel
from longtail.models.feature_model import backbone_dim
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.types import Progress

BATCH = 1024  # rows at once where nothing is trained


class FrozenTrials:
    """Stored features of a recipe's training images, and short trainings on some of them, evaluated on others.

    Nothing is written but the features. A trial trains with the recipe's own method, classifiers and optimizer, as
    `longtail train` does; test images are not looked at.

    Args:
        recipe: a recipe with `model.frozen`, which settles images, backbone and views (`run.reuse_features`).
        display: shows progress; None: nothing.
        load: gives the data, where they are loaded already.

    Raises:
        InputError: the images or the weights cannot be had.
    """

    def __init__(self, recipe: Recipe, display: Display | None = None, load: Load = load_on) -> None:
        shown = display or Display(recipe.optim.epochs, quiet=True)
        self._job = build_job(recipe, RunFolder("."), shown, load=load)
        self._job.data = replace(self._job.data, test=None)
        self._features = use_features(self._job)
        self._dim = backbone_dim(self._job.whole)

    @property
    def features(self) -> dict[str, ImageFeatures]:
        """Of "train" and, where there is a validation split, "val": (N, D) of the plain image and of each view."""
        return self._features

    @property
    def targets(self) -> Int[Tensor, " n"]:
        """(N,) classes of the training images."""
        return self._job.data.train.targets

    @property
    def num_classes(self) -> int:
        return len(self._job.data.class_names)

    @property
    def groups(self) -> tuple[str, ...] | None:
        """N groups of training images that should not be divided, "" for an image by itself."""
        return self._job.data.train.groups

    def logits(
        self, recipe: Recipe, rows: Int[Tensor, " k"], held: Int[Tensor, " h"]
    ) -> Float[Tensor, "h c"]:
        """What classifiers that were trained on the images at `rows` say of those at `held`.

        Args:
            recipe: alike in [data] and the backbone; method, classifiers, [optim] and seed are its own.
            rows: (K,) of the training images.
            held: (H,) others.

        Returns:
            (H, C) joint logits of all experts, on the CPU; H may be 0.
        """
        return self._judged(self._trained(recipe, rows), self._job.data.train.take(held))

    def _trained(self, recipe: Recipe, rows: Int[Tensor, " k"]) -> Job:
        base, stages = self._job, recipe.stages()
        device = base.runtime.device
        torch.manual_seed(recipe.run.seed)
        banks = tuple(dict.fromkeys(stage.bank for stage in stages))
        model = FeatureModel(recipe.model, self._dim, self.num_classes, banks).to(device)
        data = replace(base.data, train=base.data.train.take(rows.to(device)), val=None)
        method = recipe.build_method(data.class_counts, model.feature_dim).to(device)
        method.start(model)
        assert model.neck is not None
        model.neck.standardize(self._features["train"].blocks(rows.cpu()))
        job = replace(
            base, recipe=recipe, data=data, model=model, whole=model, method=method, stages=stages, records=[],
            views=(base.augment,) * method.num_views, display=Display(recipe.optim.epochs, quiet=True),
        )  # fmt: skip
        _train(job)
        return job

    def _judged(self, job: Job, split: Split) -> Float[Tensor, "h c"]:
        device = job.runtime.device
        stream = batches(split, torch.arange(len(split)), BATCH, device)
        answers = infer(job.model, job.method, stream, job.augment, job.stages[-1].bank)
        return torch.cat(
            [torch.empty(0, self.num_classes), *(joint.float().cpu() for _, joint, _ in answers)]
        )


def _train(job: Job) -> None:
    """All stages of a job, without a folder and without evaluation."""
    first = 0
    for position, stage in enumerate(job.stages):
        training = StageTraining(job, position)
        for epoch in range(stage.epochs):
            total = first + epoch
            step = total * job.steps_per_epoch
            progress = Progress(stage.name, epoch, stage.epochs, total, step, job.recipe.run.seed)
            survey(job, stage, progress)
            _exhaust(training, progress)
        training.average.settle()
        first += stage.epochs
    with torch.no_grad():
        job.method.finalize(job.model, None)


def _exhaust(training: StageTraining, progress: Progress) -> None:
    for _ in training.epoch(progress):
        pass


def folds(
    targets: Int[Tensor, " n"], count: int, seed: int, groups: Sequence[str] | None = None
) -> Int[Tensor, " n"]:
    """(N,) the fold of each image, every class spread evenly and groups kept whole.

    Args:
        targets: (N,) classes.
        count: of folds, >= 2.
        seed: of the draw.
        groups: N groups, "" for an image by itself.
    """
    generator = torch.Generator().manual_seed(seed)
    named = list(groups or [""] * len(targets))
    units: dict[object, list[int]] = {}
    for row, name in enumerate(named):
        units.setdefault(name or row, []).append(row)
    order = torch.randperm(len(units), generator=generator).tolist()
    members, taken = list(units.values()), torch.zeros(count, int(targets.max()) + 1)
    found = torch.empty(len(targets), dtype=torch.int64)
    for unit in sorted((members[at] for at in order), key=len, reverse=True):
        label = int(targets[unit[0]])
        load = taken[:, label] * (len(targets) + 1) + taken.sum(1)  # of the class first, then of all
        least = int(load.argmin())
        found[unit] = least
        taken[least, label] += len(unit)
    return found
