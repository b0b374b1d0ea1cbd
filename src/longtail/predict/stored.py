"""What rebuilds a classifier, as it lies in a run folder or in a folder of `longtail export --format folder`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Int
from pydantic import model_validator
from torch import Tensor, tensor

from longtail.predict.description import Description, ExportedDescription
from longtail.predict.weights import (
    Tensors,
    read_tensors,
    read_weights,
    training_counts,
)
from longtail.recipe import Recipe, load_recipe, validate
from longtail.records import Record, read_record, short
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.schema import Status, plain
from longtail.types import InputError

AGAIN = "export the run again"
NOT_KEPT = {"weights", "pretrained", "head", "fresh_head"}
"""Keys of [model] that the description of weights does not repeat: where training began, and heads of other stages."""


class Kind(Record):
    """What tells an exported folder from others."""

    model_type: Literal["longtail"]


class FolderDescription(ExportedDescription):
    """config.json of an exported folder; its classes stand there in the form of transformers too."""

    status: Status
    recipe: dict[str, Any]
    id2label: dict[str, str]
    label2id: dict[str, int]

    @model_validator(mode="after")
    def _same_classes(self) -> "FolderDescription":
        numbered = dict(enumerate(self.classes))
        names = {
            "id2label": (self.id2label, {str(index): name for index, name in numbered.items()}),
            "label2id": (self.label2id, {name: index for index, name in numbered.items()}),
        }
        for key, (given, needed) in names.items():
            if given != needed:
                raise ValueError(f"{key} names other classes than classes does, or in another order")
        return self


@dataclass(frozen=True)
class Stored:
    """A classifier at rest.

    Attributes:
        folder: where it lies.
        recipe: what it was trained by; without the path of the images where it came from elsewhere.
        description: what rebuilds the network, as in weights/model.json.
        tensors: its weights, and the method's state.
        class_counts: (C,) training images of each class.
        status: as in status.json.
        weights: the file of the description and the tensors.
    """

    folder: RunFolder
    recipe: Recipe
    description: dict[str, Any]
    tensors: Tensors
    class_counts: Int[Tensor, " c"]
    status: Mapping[str, Any]
    weights: Path

    @property
    def is_run(self) -> bool:
        """Whether it is a run folder, which may be evaluated and calibrated."""
        return self.weights == self.folder.path / layout.WEIGHTS


def read_run(path: str | Path) -> Stored:
    """A run folder.

    Raises:
        InputError: it is none, is damaged, or has no weights yet.
    """
    folder = RunFolder(path)
    status = folder.status()
    recipe = load_recipe(str(folder.path / layout.RECIPE))[0]
    description, tensors = read_weights(folder.path)
    _check_agreement(recipe, description, folder.path / layout.RECIPE, folder.restore)
    counts = training_counts(folder, description["classes"])
    return Stored(folder, recipe, description, tensors, counts, status, folder.path / layout.WEIGHTS)


def is_pretrained(path: Path) -> bool:
    """Whether a folder is one that `longtail export --format folder` wrote."""
    try:
        read_record(path / layout.EXPORTED, Kind, AGAIN)
    except InputError:
        return False
    return True


def read_pretrained(path: str | Path) -> Stored:
    """A folder that `longtail export --format folder` wrote.

    Raises:
        InputError: it is damaged, or its files do not fit together.
    """
    folder = RunFolder(path)
    file, weights = folder.path / layout.EXPORTED, folder.path / layout.EXPORTED_WEIGHTS
    read_record(file, Kind, f"give a run, or a folder that `longtail export` wrote; or {AGAIN}")
    config = read_record(file, FolderDescription, AGAIN)
    description, tensors = read_tensors(weights, AGAIN)
    try:
        recipe = validate(config.recipe)
    except InputError as error:
        raise InputError(f"{file} is damaged (recipe: {error}); {AGAIN}") from None
    own = plain(config)
    pairs = {
        **{key: (own[key], description.get(key)) for key in Description.model_fields},
        "num_experts": (config.num_experts, description["model"].get("num_experts")),
        "model": (config.model, recipe.model.name),
        "method": (config.method, recipe.method.name),
    }
    for key, (here, there) in pairs.items():
        if here != there:
            raise InputError(
                f"{file} is damaged ({key} is {short(here)}, and {short(there)} in what it belongs to); {AGAIN}"
            )
    _check_agreement(recipe, description, file, AGAIN)
    counts = tensor(config.class_counts)
    return Stored(folder, recipe, description, tensors, counts, plain(config.status), weights)


def _check_agreement(recipe: Recipe, description: Mapping[str, Any], file: Path, remedy: str) -> None:
    """Refuse weights of another network, or for other images, than the recipe says.

    Raises:
        InputError: see above.
    """
    asked = recipe.model.model_dump(mode="json")
    stored = {
        key: value for key, value in description["model"].items() if key in asked and key not in NOT_KEPT
    }
    pairs = {f"model.{key}": (asked[key], value) for key, value in stored.items()}
    for key in ("image_size", "fit", "mean", "std"):
        if (given := getattr(recipe.data, key)) is not None:
            pairs[f"data.{key}"] = (
                list(given) if isinstance(given, tuple) else given,
                description.get(key, "crop"),
            )
    for key, (given, value) in pairs.items():
        if given != value:
            raise InputError(
                f"{file} and the weights do not belong together ({key} is {short(given)} and {short(value)}); {remedy}"
            )
