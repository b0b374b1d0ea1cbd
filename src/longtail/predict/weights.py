"""A run's weights as a file: what rebuilds the network lies in it beside the tensors."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from longtail.engine.run_folder import RunFolder
from longtail.models import ExpertModel, ModelOptions, build_model
from longtail.types import InputError

DESCRIBED = {"model", "bank", "classes", "image_size", "mean", "std", "epoch"}
METHOD = "method."
RUN_WEIGHTS = "weights/last.safetensors"
Tensors = dict[str, torch.Tensor]


def read_weights(run: Path) -> tuple[dict[str, Any], Tensors]:
    """The description of the network, and its tensors; both lie in one file.

    Raises:
        InputError: there are none yet, or the file is damaged.
    """
    path = run / RUN_WEIGHTS
    if not path.is_file():
        raise InputError(f"{run} has not finished an epoch and has no weights; continue it with --resume")
    return read_tensors(path)


def read_tensors(path: Path) -> tuple[dict[str, Any], Tensors]:
    """The description and the tensors in a file of weights.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            description = json.loads((file.metadata() or {}).get("longtail", "{}"))
            if not description.keys() >= DESCRIBED:
                raise ValueError("it does not say what network it belongs to")
            return description, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, AttributeError, ValueError, safetensors.SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot load {path} ({reason}); restore it or train again") from None


def write_description(folder: RunFolder, description: dict[str, Any]) -> None:
    """Give a run's weights another description; the tensors stay as they are."""
    _, tensors = read_weights(folder.path)
    packed = safetensors.torch.save(tensors, metadata={"longtail": json.dumps(description)})
    folder.write(RUN_WEIGHTS, lambda file: file.write(packed))
    folder.write_json("weights/model.json", description)


def weights_digest(path: Path) -> str:
    """A hash of a file of weights, or of one that was exported, with its description."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]


def rebuild(description: dict[str, Any], tensors: Tensors) -> tuple[ExpertModel, Tensors]:
    """The network with its weights, ready to evaluate, and the state of the method that was stored with them.

    Raises:
        InputError: they are of a network that this version builds otherwise, or does not know.
    """
    network = {name: value for name, value in tensors.items() if not name.startswith(METHOD)}
    method = {name.removeprefix(METHOD): v for name, v in tensors.items() if name.startswith(METHOD)}
    try:
        options = ModelOptions(**description["model"])
    except ValueError as error:
        raise _misfit(description, error) from None
    model = build_model(options, len(description["classes"]), (description["bank"],))
    try:
        model.load_state_dict(network)
    except RuntimeError as error:
        raise _misfit(description, error) from None
    return model.eval(), method


def _misfit(description: dict[str, Any], error: Exception) -> InputError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[1:3] or lines)[:120]  # the first is a heading
    return InputError(
        f"the weights do not fit the {description['model'].get('name')} of this version ({reason}); train again, or "
        "install the versions of longtail and timm that trained it (env.json)"
    )


def training_counts(folder: RunFolder, classes: Sequence[str]) -> torch.Tensor:
    """(C,) training images of each class, found by its name and not by its place."""
    counts = {row["name"]: row["count"] for row in folder.classes()}
    if counts.keys() != set(classes):
        raise InputError(
            f"{folder.path / 'classes.json'} and the weights name different classes; restore it or train again"
        )
    return torch.tensor([counts[name] for name in classes])
