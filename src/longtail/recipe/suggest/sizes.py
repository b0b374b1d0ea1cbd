"""Sizes and shapes of images, and the image size and the fit that suit them and a network."""

from collections.abc import Mapping
from typing import Any

from longtail.data.listing import Listing
from longtail.data.shapes import Shapes, sample_shapes, suggest_fit
from longtail.models.backbone import backbone_input, image_multiple
from longtail.recipe.suggest.suggestion import Reasons

LOOKED_AT = 64  # images measured
# pixels that smaller images are enlarged to for pretrained weights, so that the last maps are 4x4
ENLARGED = 128
TIMES = 8  # that images are enlarged at most, above that size: more costs, and did worse on 8-pixel digits


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


def fit_of(shapes: Shapes | None, given: Mapping[str, Any]) -> tuple[dict[str, Any], Reasons]:
    """The `data.fit` that suits images, and why; nothing where all are square, or where it was asked for.

    Args:
        shapes: of the images; None where none could be measured.
        given: what was asked for, "section.key" -> value.
    """
    if shapes is None or shapes.are_square or "data.fit" in given:
        return {}, {}
    fit, why = suggest_fit(shapes)
    said = f"fit {fit}: of {shapes.images} images measured, {shapes.said}; {why}"
    return {"data.fit": fit}, {said: ("data.fit",)}
