"""A run's weights as a file: what rebuilds the network lies in it beside the tensors."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch

from longtail.engine.weights_file import DESCRIPTION, DIGEST, VERSION, digest, pack_weights
from longtail.machine import pass_on
from longtail.models import ExpertModel, ModelOptions, build_model
from longtail.predict.description import WeightsDescription
from longtail.records import parse_record, refuse_newer, short
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.layout import WEIGHTS_VERSION
from longtail.runs.schema import plain
from longtail.types import InputError

METHOD = "method."
Tensors = dict[str, torch.Tensor]


def read_weights(run: Path) -> tuple[dict[str, Any], Tensors]:
    """The description of the network, and its tensors; both lie in one file.

    Raises:
        InputError: there are none yet, or the file is damaged.
    """
    path = run / layout.WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{run} has not finished an epoch and has no weights; resume it with: "
            f"longtail train {shlex.quote(str(run))} --resume"
        )
    return read_tensors(path, RunFolder(run).restore)


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, Any], Tensors]:
    """The description and the tensors in a file of weights.

    Raises:
        InputError: the file is missing, damaged or of a newer longtail, does not say what it belongs to, or holds
            numbers that are not finite.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            version, said = metadata.get(VERSION, "1"), metadata.get(DESCRIPTION)
            refuse_newer({VERSION: int(version)}, WEIGHTS_VERSION, f"the file of weights {path}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if said is None:
            raise ValueError("it does not say what network it belongs to")
        if metadata.get(DIGEST, known := digest(said, tensors)) != known:  # older files have none
            raise ValueError(
                "its content was changed since it was written: the SHA-256 stored in it does not fit"
            )
    except InputError:
        raise
    except Exception as error:  # of safetensors, torch and the file system, each with its own
        pass_on(error)
        raise InputError(f"cannot load {path} ({short(error)}); {remedy}") from None
    description = parse_record(said, WeightsDescription, f"the description in {path}", remedy)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise InputError(f"{path}: {short(name)} holds numbers that are not finite; {remedy}")
    return plain(description), tensors


def write_description(folder: RunFolder, description: dict[str, Any]) -> None:
    """Give a run's weights another description; the tensors stay as they are."""
    _, tensors = read_weights(folder.path)
    packed = pack_weights(tensors, description)
    folder.write(layout.WEIGHTS, lambda file: file.write(packed))
    folder.write_json(layout.DESCRIPTION, description)


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
        with torch.device("meta"):  # a network without numbers shows what fits, whatever its size
            shapes = build_model(options, len(description["classes"]), (description["bank"],))
            kinds = {name: tensor.dtype for name, tensor in shapes.state_dict().items()}
        shapes.load_state_dict(network, assign=True)
        wrong = next((name for name, kind in kinds.items() if network[name].dtype != kind), None)
        if wrong is not None:
            raise ValueError(f"{wrong} is of {network[wrong].dtype}, not {kinds[wrong]}")
    except Exception as error:  # timm's networks each have their own
        pass_on(error)
        raise misfit(description, error) from None
    model = build_model(options, len(description["classes"]), (description["bank"],))
    model.load_state_dict(network)
    return model.eval(), method


def misfit(description: Mapping[str, Any], error: Exception) -> InputError:
    """What to say of weights that do not fit the network or the method of this version."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = short(
        ValueError(" ".join(lines[1:3] or lines) or type(error).__name__), 120
    )  # the first is a heading
    name = str(description["model"].get("name"))[:80]
    return InputError(
        f"the weights do not fit the {name} of this version ({reason}); "
        "train again, or install the versions of longtail and timm that trained it ({layout.ENVIRONMENT})"
    )


def training_counts(folder: RunFolder, classes: Sequence[str]) -> torch.Tensor:
    """(C,) training images of each class, which have to be the same in both files."""
    rows = folder.classes()
    if [row["name"] for row in rows] != list(classes):
        raise InputError(
            f"{folder.path / layout.CLASSES} and the weights name different classes, or in another order; "
            f"{folder.restore}"
        )
    return torch.tensor([row["count"] for row in rows])
