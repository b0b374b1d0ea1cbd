"""The state of a run at the end of an epoch: everything that makes a resumed run equal to an uninterrupted one."""

import io
from pickle import UnpicklingError
from typing import Any

import torch

from longtail.engine.run_folder import RunFolder
from longtail.recipe import Recipe, difference, load_recipe, validate
from longtail.types import InputError


def random_state() -> dict[str, Any]:
    """The state of torch's generators on the processor and on each CUDA device."""
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
    folder.write("state/last.pt", lambda file: file.write(packed.getbuffer()))


def load_state(folder: RunFolder, recipe: Recipe) -> dict[str, Any] | None:
    """The state to go on from; None for a run that was stopped before its first epoch was finished.

    Raises:
        InputError: the folder is no run, is damaged, or belongs to another recipe (the difference is listed).
    """
    if not folder.checkpoint.is_file():
        if not (folder.path / "recipe.toml").is_file():
            raise InputError(f"{folder.path} is not a run folder; give a folder that `train` made")
        _refuse_other(folder, load_recipe(str(folder.path / "recipe.toml"))[0], recipe)
        return None
    try:
        state: dict[str, Any] = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
        saved = validate(state["recipe"])
    except (RuntimeError, KeyError, TypeError, EOFError, UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{folder.checkpoint} is damaged ({reason}); train again") from None
    _refuse_other(folder, saved, recipe)
    return state


def _refuse_other(folder: RunFolder, saved: Recipe, given: Recipe) -> None:
    changed = difference(saved, given)
    if changed:
        raise InputError(
            f"{folder.path} was started with another recipe; resume it with its own, or train into a new folder",
            changed,
        )
