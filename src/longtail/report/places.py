"""Paths as commands of the report name them: from the folder in which the report is made, safe to paste."""

import os
import shlex
from pathlib import Path

from longtail.runs import layout
from longtail.runs.run import Run
from longtail.source_names import own_sources


def from_here(path: str | Path) -> str:
    """A path relative to the current folder, quoted for a shell; it tells nothing of what lies above that folder.

    >>> from_here("runs/my birds"), from_here("-x")
    ("'runs/my birds'", './-x')
    """
    place = os.path.relpath(path)
    return shlex.quote(f"./{place}" if place.startswith("-") else place)


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
