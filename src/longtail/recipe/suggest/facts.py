"""What images and the machine are like: the facts that settings are suggested from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from longtail.cpu import cpu_threads
from longtail.data.profiles import count_chosen
from longtail.data.shapes import Shapes, sample_shapes
from longtail.data.source_kinds import ReadSource, read_source
from longtail.models.weights import can_begin
from longtail.recipe import Recipe
from longtail.recipe.suggest.sizes import LOOKED_AT

BACKBONE = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Facts:
    """What the suggestions rest on.

    Attributes:
        side: the median of the shorter sides of the training images, in pixels; 0 where none could be measured.
        number: training images.
        threads: CPU threads that training has.
        has_gpu: whether training has a GPU.
        has_weights: whether pretrained weights of `BACKBONE` can be had.
        shapes: of the training images; None where none could be measured.
    """

    side: int
    number: int
    threads: int
    has_gpu: bool
    has_weights: bool
    shapes: Shapes | None = None


def find_facts(recipe: Recipe, given: Mapping[str, Any], read: ReadSource = read_source) -> Facts:
    """What the images are like and what the machine can do.

    Args:
        recipe: a recipe for the set that has what was asked for.
        given: what was asked for, "section.key" -> value.
        read: lists the source of the images.

    Raises:
        InputError: the set cannot be read, or does not have the images asked for.
    """
    source = read(recipe.data)
    train, asks = source.train, any(given.get(f"model.{key}") for key in ("name", "weights"))
    shapes = None if train is None else sample_shapes(train, LOOKED_AT)
    return Facts(
        0 if shapes is None else shapes.short_side,
        0 if train is None else count_chosen(train, recipe.data, source.max_count),
        threads=cpu_threads(recipe.run.threads),
        has_gpu=recipe.run.device != "cpu" and torch.cuda.is_available(),
        has_weights=not asks and given.get("model.pretrained") is not False and can_begin(BACKBONE),
        shapes=shapes,
    )
