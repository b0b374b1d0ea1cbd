"""Resuming a run with its own images, also after they were moved."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from longtail.data.dataset import counted
from longtail.engine.job import Job, describe_job, image_rows
from longtail.recipe import Recipe, as_recorded, load_recipe, validate
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.types import InputError

PLACE = ("name", "path", "root")
"""The keys of [data] that say where the images lie, and do not decide a result."""
COMPARED = ("class", "split", "content")
SHOWN = 10


def settle_images(job: Job, state: Mapping[str, Any] | None) -> None:
    """Refuse other training images than those of the run; write down where they lie now, if that is elsewhere.

    Args:
        job: of the resumed run, with the images as they are found now.
        state: see `load_state`; None before the first finished epoch.

    Raises:
        InputError: the first differences are listed.
    """
    folder, epochs = job.folder, 0 if state is None else len(state["records"])
    before = load_recipe(str(folder.path / layout.RECIPE))[0]
    known = [before] if state is None else [before, validate(as_recorded(state["recipe"]))]
    moved = any(_place(recipe) != _place(job.recipe) for recipe in known)
    same = state is None or state["index_hash"] == job.data.index_hash
    began = state is not None or (folder.path / layout.SPLITS).is_file()
    if began and (moved or not same):
        changed, other = _differences(job)
        if changed or not same:
            raise InputError(
                f"the training images are not those that {folder.path} was started with; give the place where those "
                "lie with --data, or train into a new folder",
                _shown(changed or []),
            )
        if other:
            job.display.say(f"{counted(other, 'image')} to evaluate on changed since the run began")
    if moved:
        moves = [*_moves(job), {"epochs": epochs, "from": before.data.path, "to": job.recipe.data.path}]
        job.display.say(f"the images of {before.data.path} lie in {job.recipe.data.path} now")
        describe_job(job, epochs, {"moved": moves})
    elif state is None:
        describe_job(job)


def check_there(recipe: Recipe, folder: RunFolder) -> None:
    """Say what to do where the images of a resumed run are gone.

    Raises:
        InputError: see above.
    """
    place = recipe.data.path
    if place is not None and not Path(place).exists():
        raise InputError(
            f"the images of {folder.path} are not in {place} any more; say where they lie now: longtail train "
            f"{shlex.quote(str(folder.path))} --resume --data PATH"
        )


def _place(recipe: Recipe) -> tuple[str | None, ...]:
    return tuple(getattr(recipe.data, key) for key in PLACE)


def _moves(job: Job) -> list[Any]:
    """Where the images lay before, as env.json says it."""
    if not (job.folder.path / layout.ENVIRONMENT).is_file():
        return []
    found = getattr(job.folder.read(layout.ENVIRONMENT), "moved", [])
    return list(found) if isinstance(found, list) else []


def _differences(job: Job) -> tuple[list[str] | None, int]:
    """What is different of the training images, and how many others differ; None where no content is recorded."""
    before = job.folder.splits()
    columns, *rows = image_rows(job.data)
    now = pd.DataFrame(rows, columns=list(columns))
    now["path"] = [path.encode("utf-8", "backslashreplace").decode() for path in now["path"]]
    if "content" not in before or "content" not in now:
        return None, 0
    kept = ["path", *COMPARED]
    merged = before[kept].merge(now[kept], on="path", how="outer", suffixes=("", " now"))
    odd = [row for row in merged.fillna("").to_dict("records") if _difference(row)]
    trained = [
        f"{row['path']}: {_difference(row)}" for row in odd if "train" in (row["split"], row["split now"])
    ]
    order = [table.loc[table["split"] == "train", "path"].tolist() for table in (before, now)]
    if not trained and order[0] != order[1]:
        trained = ["the images come in another order"]
    return trained, len(odd) - len(trained)


def _difference(row: Mapping[str, Any]) -> str:
    """What is different of an image; empty where nothing is."""
    if not row["split now"]:
        return "is not there any more"
    if not row["split"]:
        return "was not there"
    changed = [key for key in COMPARED if row[key] != row[f"{key} now"]]
    return f"has another {' and '.join(changed)}" if changed else ""


def _shown(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]
