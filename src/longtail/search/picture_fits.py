"""Compares crop, squash and pad (`data.fit`) by classifiers on features."""

from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from longtail.choices import Fit
from longtail.data import LongTailData, Split
from longtail.data.dataset import counted
from longtail.data.holdout import related_in
from longtail.data.shapes import HARDLY, shapes_of
from longtail.data.source_kinds import ReadSource
from longtail.engine.display import Display
from longtail.engine.trials import FrozenTrials, folds
from longtail.recipe import Recipe, changed
from longtail.search.comparison import difference, macro, units_of
from longtail.search.fits import BEGUN_AT, FOLDS
from longtail.search.linear import can_be_judged, coordinates, cross_validated
from longtail.search.probing import load_some
from longtail.search.short_training import Division, fewer

MOST = 1_000  # training images that are compared at most,
LEAST = 200  # and at least; of fewer, differences are chance


def choose_fit(
    recipe: Recipe, data: LongTailData, read: ReadSource, compute: float, seconds: float, display: Display
) -> tuple[Fit, list[str]]:
    """The `data.fit` to train with, and what to say of it.

    Each fit is judged by a linear classifier on features of the same training images, cross-validated. Another fit
    than the recipe's is taken where it is better beyond chance. Nothing is compared where a crop hides next to nothing.

    Args:
        recipe: of `heads.frozen`.
        data: its images; those of the validation and test split are not looked at.
        read: lists the source.
        compute: seconds that features of an image take.
        seconds: that the comparison may take.
        display: called with what is done.

    Raises:
        InputError: the weights cannot be had.
    """
    own, train = recipe.data.fit, data.train
    shapes = None if train.sizes is None else shapes_of(train.sizes, train.ids)
    if shapes is None or shapes.usually_hidden <= HARDLY:
        return own, []
    fits = [own, *(fit for fit in get_args(Fit) if fit != own)]
    count = min(MOST, len(train), int(seconds / max(1e-9, len(fits) * compute)))
    if count < LEAST:
        return own, [f"fit {own}: others were not compared: too little time or too few images"]
    everything = Division(np.arange(len(train)), np.arange(0))
    rows = torch.from_numpy(fewer(everything, data, count, recipe.run.seed).rows)
    some = train.take(rows.to(train.targets.device))
    targets = some.targets.cpu()
    groups = related_in(some, recipe.data).groups
    fold, units = folds(targets, FOLDS, recipe.run.seed, groups), units_of(groups, np.arange(len(targets)))
    judged = can_be_judged(targets, fold).numpy()
    if len(rows) > count or judged.sum() < LEAST:
        return own, [f"fit {own}: others were not compared, there are too many classes for {count:,} images"]
    right: dict[Fit, Bool[ndarray, " n"]] = {}
    for fit in fits:
        fitted = changed(recipe, {"data.fit": fit})
        shown = some if fit == own else _again(fitted, some, read)
        if shown is None:
            continue
        alone = replace(data, train=shown, val=None, test=None)
        x = _coordinates(fitted, alone, display)
        (logits,) = cross_validated(x, targets, fold, len(data.class_names), 1.0, BEGUN_AT)
        right[fit] = (logits.argmax(1) == targets).numpy()[judged]
    return _best(right, own, targets.numpy()[judged], None if units is None else units[judged])


def _coordinates(recipe: Recipe, data: LongTailData, display: Display) -> Float[Tensor, "n r"]:
    trials = FrozenTrials(recipe, display, load=lambda *_: data)
    return coordinates(trials.features["train"].view(0)).cpu()


def _again(recipe: Recipe, some: Split, read: ReadSource) -> Split | None:
    """The same images with the recipe's fit, in the same order; None where one of them can no longer be read."""
    source = read(recipe.data)
    assert source.train is not None
    place = {name: row for row, name in enumerate(source.train.ids)}
    rows = np.sort(np.array([place[name] for name in some.ids], dtype=np.int64))
    found = load_some(recipe.data, source, rows, boxes=False).train
    at = {name: row for row, name in enumerate(found.ids)}
    if at.keys() != set(some.ids):
        return None
    return found.to(some.targets.device).take(
        torch.tensor([at[name] for name in some.ids], device=some.targets.device)
    )


def _best(
    right: dict[Fit, Bool[ndarray, " n"]],
    own: Fit,
    targets: Int[ndarray, " n"],
    units: Int[ndarray, " n"] | None = None,
) -> tuple[Fit, list[str]]:
    """That of the highest macro recall of those that are better than `own` beyond chance, else `own`."""
    said, best = [], own
    value = {fit: macro(each, targets)[0] for fit, each in right.items()}
    for fit, each in right.items():
        if fit == own:
            continue
        gain = difference(each, right[own], targets, units)
        if gain.is_better and value[fit] > value[best]:
            best = fit
        word = "better" if gain.is_better else "worse" if gain.high < 0 else "a tie"
        said.append(
            f"{fit} {100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f}, {word})"
        )
    reason = (
        f"fit {best}: by classifiers on features of {counted(len(targets), 'training image')}, {FOLDS} folds, {own} "
        f"has macro {100 * value[own]:.1f}; {'; '.join(said)}"
    )
    return best, [reason]
