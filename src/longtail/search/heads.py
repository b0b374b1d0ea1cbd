"""Comparison of classifiers on features of the frozen backbone by cross-validation, the first step of a search."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from longtail.data import LongTailData
from longtail.data.holdout import related_in
from longtail.engine.display import Display
from longtail.engine.timing import Timing
from longtail.engine.trials import FrozenTrials, folds
from longtail.models.backbone import image_multiple
from longtail.recipe import Recipe, changed, load_recipe, scaled, validate
from longtail.recipe.suggest.features import RECIPE, STEPS
from longtail.runs.schema import Trial
from longtail.search.comparison import difference, units_of
from longtail.search.fits import FOLDS, Fits, Right
from longtail.search.probing import SIZES
from longtail.search.short_training import Division, at_most, divide
from longtail.types import InputError

MOST = 3_000  # training images of the comparison, those that judge included; two of each class where that is more
EVALUATIONS = 10  # of a run
TIMED = 20  # epochs of a run, by which its length is known
COSINE = {"model.head": "cosine", "optim.peak_lr": 0.05, "optim.weight_decay": 1e-3}
SHARE = 1 / 3  # of the time that is left, for the features of all images
COMPARED = 1 / 2  # of the time that is left to compare in, for what a network sees, and then for classifiers
OPEN = ("model.name", "model.weights", "model.pretrained")


@dataclass(frozen=True)
class Choice:
    """A kind of classifier on features, with its recipe.

    Attributes:
        recipe: of a run that trains them.
        name: what they are, in words.
        tau: strength of the class counts in them.
    """

    recipe: Recipe
    name: str
    tau: float


@dataclass(frozen=True)
class Heads:
    """The best classifiers on features that were found.

    Attributes:
        best: these.
        trials: what was compared; each training image was judged once by classifiers that did not see it.
        images: that were judged.
        division: of the training images, for what is compared with short trainings;
        right: (H,) whether the best name its held-out images correctly;
        how: how they were trained, in words;
        seconds: of the steps of a run.
        compute: seconds that features of an image take.
        stored: images whose features are there.
        computing: seconds that these took.
    """

    best: Choice
    trials: tuple[Trial, ...]
    images: int
    division: Division
    right: Right
    how: str
    seconds: float
    compute: float
    stored: int
    computing: float = 0.0

    def run_seconds(self, timing: Timing) -> float:
        """Seconds of a run: the features that are missing yet, and its steps."""
        missing = max(0, timing.images - self.stored) + timing.tested
        return self.seconds + self.compute * missing


def frozen(recipe: Recipe, given: Mapping[str, Any]) -> Recipe | str:
    """The recipe that trains classifiers on features of the same images and network, or why there is none.

    Args:
        recipe: the suggested settings.
        given: what was asked for.
    """
    m = recipe.model
    if not (m.pretrained or m.weights):
        return f"{m.name} begins with random weights"
    asked = [key for key in given if key.startswith(("model.", "method.", "optim.")) and key not in OPEN]
    if asked:
        return f"{', '.join(asked)} was asked for"
    base = load_recipe(RECIPE)[0].model_dump()
    base["data"] = recipe.data.model_dump()
    base["run"] = recipe.run.model_dump() | {"reuse_features": 0}
    base["model"] |= {key: getattr(m, key) for key in ("name", "weights", "pretrained")}
    try:
        return validate(base)
    except InputError as error:
        return str(error)


def at_size(
    recipe: Recipe, timing: Timing, given: Mapping[str, Any], seconds: float
) -> tuple[Recipe, float, list[str]]:
    """The recipe at the largest size up to its own whose features fit into the time, seconds an image, what is cut."""
    own = recipe.data.image_size
    images = max(timing.images / max(1e-9, 1 - recipe.data.validation), timing.images + timing.tested)
    multiple = image_multiple(recipe.model.name)
    if own is None or "data.image_size" in given or images * timing.evaluated <= seconds:
        return recipe, timing.evaluated, []
    sizes = [size for size in SIZES if size < own and size % multiple == 0]
    if not sizes:
        return recipe, timing.evaluated, []
    each = {size: timing.evaluated * (size / own) ** 2 for size in sizes}
    size = next((size for size in sizes if images * each[size] <= seconds), sizes[-1])
    said = f"features for the classifiers: of images of {size} pixels instead of {own}, which would take too long"
    return changed(recipe, {"data.image_size": size}), each[size], [said]


def compare_heads(
    recipe: Recipe, data: LongTailData, compute: float, seconds: float, display: Display
) -> Heads:
    """Compare classifiers on features of training images.

    Args:
        recipe: of `frozen`.
        data: its images; those of the validation and test split are not looked at.
        compute: seconds that features of an image take.
        seconds: that the comparison may take once features are there; one fit is made at least.
        display: called with what is done.

    Raises:
        InputError: the weights cannot be had.
    """
    whole = divide(data, recipe.data, recipe.run.seed)
    is_small = len(data.train) <= MOST
    division = whole if is_small else at_most(whole, data, MOST, recipe.run.seed)
    whole = replace(whole, held=division.held, units=division.units)
    rows = np.arange(len(data.train)) if is_small else np.sort(np.concatenate([division.rows, division.held]))
    where = torch.from_numpy(rows)
    train = data.train.take(where.to(data.train.targets.device))
    some = replace(data, train=train, val=None, test=None)
    began = time.monotonic()
    trials = FrozenTrials(recipe, display, load=lambda *_: some)
    computing = time.monotonic() - began
    groups = related_in(some.train, recipe.data).groups
    fold = folds(trials.targets.cpu(), FOLDS, recipe.run.seed, groups)
    plain, targets = trials.features["train"].view(0), trials.targets.cpu()
    units, until = units_of(groups, np.arange(len(rows))), time.monotonic() + seconds
    search = Fits(plain, targets, trials.num_classes, fold, until, display, units)
    best = search.run()
    final = _run_of(changed(recipe, best.settings), len(data.train))
    trained, held = (np.searchsorted(rows, part) for part in (division.rows, division.held))
    inside = Division(trained, held, division.units)
    seconds_of_run = _seconds(final, trials, inside, len(data.train))
    name = best.name if search.judged.any() else f"{best.name}, not compared: no class has images to judge by"
    right, found = best.right[np.isin(rows, division.held)], Choice(final, name, best.tau)
    if len(right) and seconds_of_run < search.until - time.monotonic():
        found, right = _or_cosine(found, right, trials, inside)
    how = f"features of {len(rows):,} images, {FOLDS} folds"
    fits = search.trials(best)
    return Heads(
        found, fits, int(search.judged.sum()), whole, right, how, seconds_of_run, compute, len(rows), computing
    )  # fmt: skip


def _run_of(recipe: Recipe, images: int) -> Recipe:
    """With the length of a run on so many images."""
    steps = max(1, math.ceil(images / recipe.optim.batch_size))
    epochs = max(recipe.optim.epochs, math.ceil(STEPS / steps))
    return changed(scaled(recipe, epochs), {"run.evaluate_every": max(1, epochs // EVALUATIONS)})


def _seconds(recipe: Recipe, trials: FrozenTrials, division: Division, images: int) -> float:
    """Seconds that the steps of a run on so many images take, from a few of them."""
    short, size = scaled(recipe, min(recipe.optim.epochs, TIMED)), recipe.optim.batch_size
    started = time.monotonic()
    trials.logits(short, torch.from_numpy(division.rows), torch.from_numpy(division.held))
    timed = short.optim.epochs * math.ceil(len(division.rows) / size)
    wanted = recipe.optim.epochs * math.ceil(images / size)
    return (time.monotonic() - started) * wanted / max(1, timed)


def _or_cosine(
    linear: Choice, right: Right, trials: FrozenTrials, division: Division
) -> tuple[Choice, Right]:
    """Cosine classifiers, trained as in a run, where they are better beyond chance on the held-out images."""
    targets = trials.targets.cpu().numpy()[division.held]
    cosine = changed(linear.recipe, COSINE)
    length = _run_of(cosine, len(division.rows))
    logits = trials.logits(length, torch.from_numpy(division.rows), torch.from_numpy(division.held))
    other = logits.numpy().argmax(1) == targets
    if difference(other, right, targets, division.units).is_better:
        return Choice(cosine, f"cosine classifiers, {linear.name}", linear.tau), other
    return linear, right
