"""Where runs lie: the default names of their folders, and the runs that are found there."""

import glob
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from longtail.recipe import Recipe, load_recipe
from longtail.records import read_record
from longtail.runs import layout
from longtail.runs.folder import next_free
from longtail.source_names import data_name
from longtail.types import InputError

RUNS = "runs"


def default_name(recipe: Recipe) -> str:
    images = data_name(recipe.data.name, recipe.data.path)
    return "-".join((images.replace(" ", "_"), recipe.method.name, recipe.model.name))


def reserve(name: str) -> Path:
    """A fresh default folder, made at once so that runs started together do not take the same."""
    while True:
        folder = next_free(RUNS, name)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"cannot make {folder} ({error.strerror}); choose a folder with --out") from None
        return folder


def newest(recipe: Recipe) -> Path | None:
    """The default-named run of this very recipe that was made last."""
    name, found = default_name(recipe), []
    for folder in Path(RUNS).glob(f"{glob.escape(name)}*"):
        number = folder.name.removeprefix(name).removeprefix("-") or "1"
        with suppress(InputError):
            if number.isdecimal() and load_recipe(str(folder / layout.RECIPE))[0] == recipe:
                found.append((int(number), folder))
    return max(found)[1] if found else None


def newest_asked(asked: Mapping[str, Any]) -> Path | None:
    """The run of default name whose settings were found for the same question that was made last."""
    found = []
    for file in Path(RUNS).glob(f"*/{layout.SEARCH}"):
        with suppress(InputError):
            if (
                read_record(file, layout.SEARCH.form, "").asked == asked
                and (file.parent / layout.RECIPE).is_file()
            ):
                found.append((file.stat().st_mtime, file.parent))
    return max(found)[1] if found else None


def missing_folders(folder: Path) -> list[Path]:
    """The folder and its parents that do not exist, the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]
