"""What a plan adds to a recipe about its images: where they lie, what they are evaluated on, the network's input."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.data.holdout import HELD_OUT, no_validation
from longtail.data.packed_set import is_packed
from longtail.data.source_kinds import ReadSource, source_of
from longtail.models.backbone import backbone_input
from longtail.recipe import Recipe, validate
from longtail.types import InputError


def placed(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with the absolute path of its data, and the kind of source that lies there."""
    if recipe.data.path is None:
        return recipe
    if recipe.data.name == "digits" and "data.path" in given:
        raise InputError(
            "the recipe trains on digits, which need no --data; to train on your own images: "
            f"longtail train {shlex.quote(str(given['data.path']))}"
        )
    sections = recipe.model_dump()
    try:
        place = str(Path(recipe.data.path).expanduser().resolve())
        (place + (recipe.data.root or "")).encode()
    except ValueError:
        raise InputError(
            f"data.path = {recipe.data.path!r} is no UTF-8 text and cannot be kept in a recipe; rename the folder"
        ) from None
    sections["data"]["path"] = place
    if recipe.data.root is not None:
        sections["data"]["root"] = str(Path(recipe.data.root).expanduser().resolve())
    if recipe.data.name == "folder" and is_packed(Path(place)):
        sections["data"]["name"] = "packed"
    if recipe.data.is_own and "data.path" in given and "data.name" not in given:
        sections["data"]["name"] = source_of(Path(place))
    return validate(sections)


def with_validation(
    recipe: Recipe, given: Mapping[str, Any], read: ReadSource
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with a validation split where there is nothing else to evaluate on, and what to tell about it.

    Args:
        recipe: with the place of its images.
        given: see `given_keys`.
        read: lists the source of the images.
    """
    if not recipe.data.is_own or "data.validation" in given or recipe.data.validation:
        return recipe, ()
    source = read(recipe.data)
    if source.val is not None:
        return recipe, ()
    if source.test is not None:
        said = no_validation(recipe.data.path, divisible=source.files() is not None)
        return recipe, (f"{recipe.data.path} {said}",)
    sections = recipe.model_dump()
    sections["data"]["validation"] = HELD_OUT
    note = f"{recipe.data.path} has no test split: {HELD_OUT:.0%} of each class is held out to evaluate on"
    return validate(sections), (f"{note} (data.validation={HELD_OUT})",)


def filled(recipe: Recipe) -> Recipe:
    """The recipe with the image size and statistics that a network's weights were trained with, where it names none."""
    if recipe.model.is_for_small_images:
        return recipe
    known, sections = backbone_input(recipe.model.name), recipe.model_dump()
    for key, value in (("image_size", known.size), ("mean", known.mean), ("std", known.std)):
        if sections["data"][key] is None:
            sections["data"][key] = value
    return validate(sections)
