"""What rebuilds a classifier, as it lies in a run folder or in a folder of `longtail export --format folder`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor, tensor

from longtail.engine.run_folder import RunFolder
from longtail.predict.weights import RUN_WEIGHTS, Tensors, read_tensors, read_weights, training_counts
from longtail.recipe import Recipe, load_recipe, validate
from longtail.records import parse_json, read_bytes
from longtail.types import InputError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


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
        return self.weights == self.folder.path / RUN_WEIGHTS


def read_run(path: str | Path) -> Stored:
    """A run folder.

    Raises:
        InputError: it is none, is damaged, or has no weights yet.
    """
    folder = RunFolder(path)
    status = folder.status()
    recipe = load_recipe(str(folder.path / "recipe.toml"))[0]
    description, tensors = read_weights(folder.path)
    counts = training_counts(folder, description["classes"])
    return Stored(folder, recipe, description, tensors, counts, status, folder.path / RUN_WEIGHTS)


def is_pretrained(path: Path) -> bool:
    """Whether a folder is one that `longtail export --format folder` wrote."""
    try:
        return bool(json.loads((path / CONFIG).read_text("utf-8"))["model_type"] == "longtail")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_pretrained(path: str | Path) -> Stored:
    """A folder that `longtail export --format folder` wrote.

    Raises:
        InputError: it is damaged.
    """
    folder = RunFolder(path)
    again = "export the run again"
    config = parse_json(read_bytes(folder.path / CONFIG, again), str(folder.path / CONFIG), again)
    description, tensors = read_tensors(folder.path / WEIGHTS)
    try:
        recipe, counts = validate(config["recipe"]), tensor(config["class_counts"])
        status = config["status"]
        if len(counts) != len(description["classes"]) or not {"status", "epoch", "epochs"} <= status.keys():
            raise ValueError("it belongs to other weights")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder.path / CONFIG} is damaged ({error}); export the run again") from None
    return Stored(folder, recipe, description, tensors, counts, status, folder.path / WEIGHTS)
