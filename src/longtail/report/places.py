"""Paths and commands to train, safe to paste; a run's are seen from the folder in which the report is made."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.recipe import toml_value
from longtail.runs import layout
from longtail.runs.run import Run
from longtail.source_names import own_sources


def from_here(path: str | Path) -> str:
    """A path relative to the current folder, quoted for a shell; it tells nothing of what lies above that folder.

    >>> from_here("runs/my birds"), from_here("-x")
    ("'runs/my birds'", './-x')
    """
    return shlex.quote(_relative(path))


def _relative(path: str | Path) -> str:
    place = os.path.relpath(path)
    return f"./{place}" if place.startswith("-") else place


def recipe_of(run: Run) -> str:
    """The run's recipe as `longtail train` takes it."""
    return from_here(run.path / layout.RECIPE)


def images_of(run: Run) -> str | None:
    """The user's own images as commands take them, with the folder that their paths start from; None of a named set."""
    data = run.recipe["data"]
    if data["name"] not in own_sources() or data.get("path") is None:
        return None
    root = data.get("root")
    return from_here(data["path"]) + ("" if root is None else f" --root {from_here(root)}")


def train_command(images: str, settings: Mapping[str, Any]) -> str:
    """The command that trains on images with some settings of the recipe; "" where one cannot be put into words.

    Args:
        images: their path, as it is to be named.
        settings: "section.key" -> value.

    >>> train_command("my birds", {"data.root": "photos", "data.two_labels": "leave_out"})
    "longtail train 'my birds' --set data.root=photos --set data.two_labels=leave_out"
    """
    words = {key: _word(value) for key, value in settings.items()}
    if None in words.values():
        return ""
    options = [f"--set {shlex.quote(f'{key}={word}')}" for key, word in words.items()]
    return " ".join(["longtail train", shlex.quote(images), *options])


def _word(value: Any) -> str | None:
    """The text that `--set` reads as a value; None where there is none."""
    try:
        texts = [value] if isinstance(value, str) else ["none"] if value is None else []
        texts.append(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return None
    return next((text for text in texts if toml_value(text.strip()) == value), None)


def command_of(run: Run, asked: Mapping[str, Any]) -> str:
    """What the command asked for that found a run's settings, to be asked again; "" where that is not known in full.

    Args:
        run: on the user's own images.
        asked: of its search.json.
    """
    data, given = run.recipe["data"], asked.get("given")
    if images_of(run) is None or not isinstance(given, Mapping):
        return ""
    settings = {key: value for key, value in given.items() if key not in ("data.path", "data.root")}
    if data.get("root") is not None:
        settings["data.root"] = _relative(data["root"])
    weights = settings.get("model.weights")
    if weights is not None:
        if not Path(str(weights)).is_absolute():  # from a folder that is not recorded
            return ""
        settings["model.weights"] = _relative(weights)
    if run.recipe["run"]["seed"]:  # of several seeds, a run has its own
        settings["run.seed"] = run.recipe["run"]["seed"]
    return train_command(_relative(data["path"]), settings)
