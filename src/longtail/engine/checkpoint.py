"""The state of a run at the end of an epoch: everything that makes a resumed run equal to an uninterrupted one."""

import io
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from longtail.machine import pass_on
from longtail.recipe import Recipe, as_recorded, difference, load_recipe, validate
from longtail.records import Record, check_record, short
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.schema import EpochRecord, check_epochs
from longtail.types import InputError

PLACE = ("data.name: ", "data.path: ", "data.root: ")
_WITH_TENSORS = ConfigDict(arbitrary_types_allowed=True)


class RandomState(Record):
    """The state of the random generators; see `random_state`."""

    model_config = _WITH_TENSORS

    cpu: Tensor
    cuda: list[Tensor]


class State(Record):
    """The content of a checkpoint; see `save_state`."""

    model_config = _WITH_TENSORS

    recipe: dict[str, Any]
    index_hash: str
    records: Annotated[list[EpochRecord], Field(min_length=1)]
    model: dict[str, Tensor]
    method: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Any] | None
    scaler: dict[str, Any] | None
    random: RandomState


def random_state() -> dict[str, Any]:
    """The state of torch's generators on the CPU and on each CUDA device."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Undo what happened to the generators since `random_state`."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == torch.cuda.device_count() and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def save_state(folder: RunFolder, state: dict[str, Any]) -> None:
    """Write the state atomically; the one before it is replaced only when the new one is on disk."""
    packed = io.BytesIO()  # torch tells of a full disk in riddles, so it writes into memory
    torch.save(state, packed)
    folder.write(layout.STATE, lambda file: file.write(packed.getbuffer()))


def load_state(folder: RunFolder, recipe: Recipe) -> dict[str, Any] | None:
    """The state to resume from; None for a run that was stopped before its first epoch was finished.

    Raises:
        InputError: the folder is no run, is damaged, or belongs to another recipe (the difference is listed).
    """
    if not (folder.path / layout.RECIPE).exists():
        raise InputError(f"{folder.path} is not a run folder; give a folder that `train` made")
    folder.check_version()
    stored = load_recipe(str(folder.path / layout.RECIPE))[0]
    if not folder.checkpoint.exists():
        _refuse_other(folder, stored, recipe)
        return None
    try:
        state: dict[str, Any] = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
        _check_sums(folder.checkpoint)
    except Exception as error:  # a pickled file that is no checkpoint raises anything
        pass_on(error)
        raise InputError(f"{folder.checkpoint} is damaged ({_line(error)}); {folder.train_again}") from None
    found = check_record(state, State, str(folder.checkpoint), folder.train_again)
    try:
        saved = validate(as_recorded(found.recipe))
        _check(found, saved)
    except ValueError as error:
        raise InputError(f"{folder.checkpoint} is damaged ({error}); {folder.train_again}") from None
    _refuse_edited(folder, saved, stored)
    _refuse_other(folder, saved, recipe)
    return state


def _check_sums(file: Path) -> None:
    """Raises an error where a part of the file does not have the checksum stored with it, which torch does not read."""
    with zipfile.ZipFile(file) as archive:
        if (part := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {part} is wrong")


@contextmanager
def restoring(folder: RunFolder) -> Iterator[None]:
    """Refuse a state that does not fit what is built from its own recipe.

    Raises:
        InputError: see above.
    """
    try:
        yield
    except (InputError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder.checkpoint} does not fit the network, method or optimizer of its recipe ({_line(error)}); "
            f"{folder.train_again}"
        ) from None


def _check(found: State, recipe: Recipe) -> None:
    """Raises ValueError where epochs are not those of the recipe, or weights are not finite."""
    check_epochs(found.records, recipe.optim.epochs)
    stages = [stage.name for stage in recipe.stages() for _ in range(stage.epochs)]
    for record, stage in zip(found.records, stages, strict=False):
        if record.stage != stage:
            raise ValueError(f"epoch {record.epoch} is of the stage {short(record.stage)}, not {stage!r}")
    ruined = next((name for name, tensor in found.model.items() if not tensor.isfinite().all()), None)
    if ruined is not None:
        raise ValueError(f"the weights {short(ruined)} are not finite")


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return short(ValueError(" ".join(lines[:2])), 160)


def _refuse_edited(folder: RunFolder, saved: Recipe, stored: Recipe) -> None:
    """Refuse a recipe.toml that no longer says what the finished epochs were trained with."""
    file = folder.path / layout.RECIPE
    edited = _differences(saved, stored)
    if edited:
        raise InputError(
            f"{file} was changed since the run began; undo the changes that follow, or train with them into a new "
            f"folder: longtail train {shlex.quote(str(file))} --out DIR",
            edited,
        )


def _refuse_other(folder: RunFolder, saved: Recipe, given: Recipe) -> None:
    changed = _differences(saved, given)
    if changed:
        raise InputError(
            f"{folder.path} was started with another recipe; resume it with its own, or train into a new folder",
            changed,
        )


def _differences(old: Recipe, new: Recipe) -> list[str]:
    """Where the images lie may differ: `settle_images` looks whether they are the same."""
    return [line for line in difference(old, new) if not line.startswith(PLACE)]
