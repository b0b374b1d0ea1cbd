"""What is said of a recipe that does not fit: the key, the value, its range or the nearest valid name."""

import difflib
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from longtail.data import DataOptions
from longtail.data.policies import ViewOptions
from longtail.method import MethodOptions
from longtail.methods import FOLDERS, find, names
from longtail.models import ModelOptions
from longtail.plugins import named_folders
from longtail.recipe.options import OptimOptions, RunOptions
from longtail.recipe.reading import DEFAULT_FOR_IMAGES, SECTIONS
from longtail.records import short
from longtail.runs import layout
from longtail.types import InputError

BOUNDS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}


def check_method_of_run(sections: Mapping[str, Any], file: Path) -> None:
    """Refuse a run's own recipe whose method is not here: no other one can take its place.

    Args:
        sections: of the recipe.
        file: where the recipe was read; one that does not lie in a run folder is none of a run.

    Raises:
        InputError: see above.
    """
    name = sections.get("method", {}).get("name")
    if not isinstance(name, str) or name in names() or not (file.parent / layout.ENVIRONMENT).is_file():
        return
    folders = os.pathsep.join(named_folders(FOLDERS))
    state = f"is {folders}" if folders else "is not set"
    raise InputError(
        f"{file.parent} was trained with the method {name!r}, which is not here; {FOLDERS} {state}: let it name the "
        f"folder with {name}.py"
    )


def no_such(target: str, recipes: list[str]) -> str:
    """That there is no recipe of this name."""
    path = Path(target)
    if path.is_file():
        return (
            f"{target} is neither a table of images nor a recipe; give its folder, a .csv, .parquet, .txt or .json "
            f"file that lists images, a {layout.RECIPE} or a shipped recipe ({', '.join(recipes)})"
        )
    near = difflib.get_close_matches(target, recipes, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"recipes are {', '.join(recipes)}"
    if path.suffix == ".toml" or path.name != target:
        return (
            f"{target} does not exist; give a {layout.RECIPE}, a folder of images or a shipped recipe; {hint}"
        )
    return f"no recipe, {layout.RECIPE} or folder of images is called {target!r}; {hint}"


def _models(sections: Mapping[str, Any]) -> dict[str, type[BaseModel]]:
    """The options of each section, and of each named policy that is given."""
    data = sections.get("data")
    views = data.get("views") if isinstance(data, Mapping) else None
    named = views if isinstance(views, Mapping) else {}
    return _options(sections) | {f"data.views.{name}": ViewOptions for name in named}


def _options(sections: Mapping[str, Any]) -> dict[str, type[BaseModel]]:
    """The options of each section."""
    method = sections.get("method")
    name = method.get("name") if isinstance(method, Mapping) else None
    own: type[BaseModel] = find(name).Options if name else MethodOptions
    return dict(zip(SECTIONS, (DataOptions, ModelOptions, own, OptimOptions, RunOptions), strict=True))


def nearest(key: str, sections: Mapping[str, Any]) -> str:
    """What to say of a key that does not exist."""
    keys = [f"{section}.{key}" for section, model in _models(sections).items() for key in model.model_fields]
    key = key[:100]
    leaf = key.rsplit(".", maxsplit=1)[-1]
    near = (
        [k for k in keys if k.startswith(key + "_")]
        or difflib.get_close_matches(key, keys, 1)
        or [k for k in keys if k.endswith("." + leaf)]
    )
    if near:
        return f"did you mean {near[0]!r}?"
    own = [k for k in keys if k.startswith(key.split(".", maxsplit=1)[0] + ".")]
    return f"keys are {', '.join(own)}" if own else f"sections are {', '.join(SECTIONS)}"


def explain(error: ValidationError, sections: Mapping[str, Any]) -> str:
    """The first fault of sections that are no recipe."""
    first = error.errors()[0]
    refusal = first.get("ctx", {}).get("error")
    if isinstance(refusal, InputError):
        return str(refusal)
    where = [str(part) for part in first["loc"]]
    if error.title != "Recipe":
        where.insert(0, "method")
    depth = 4 if where[:2] == ["data", "views"] else 2  # data.views.NAME.key
    key = ".".join(where[:depth])
    if not key:
        return "a recipe has the sections [data] [model] [method] [optim] [run]; this is none"
    if first["type"] == "extra_forbidden":
        return f"unknown key {short(key)}; {nearest(key, sections)}"
    if first["type"] == "missing":
        return {
            1: f"section [{key}] is missing; add it, or begin with base = {DEFAULT_FOR_IMAGES!r}",
            2: f"key {key!r} is missing; give it in the recipe or with --set {key}=...",
        }.get(len(where), f"{key} does not fit: it has too few values")
    if len(where) == 1:
        return f"section [{key}] is {short(first['input'])}; write [{key}] and its keys in the lines below"
    said = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    if first["type"] == "model_type":  # a named policy
        said = f"give its keys, such as {key}.augment"
    limits = _limits(sections, *key.rpartition(".")[::2])
    if limits:
        said = limits if first["type"] in BOUNDS else f"{said}; {limits}"
    return f"{key} = {short(first['input'])} does not fit: {said}"


def _limits(sections: Mapping[str, Any], table: str, leaf: str) -> str:
    model = _models(sections).get(table)
    return _range(model.model_fields[leaf]) if model is not None and leaf in model.model_fields else ""


def _range(field: FieldInfo) -> str:
    """The smallest and the largest value of a number; empty for anything else."""
    inner = [getattr(one, "__metadata__", ()) for one in get_args(field.annotation)]  # of X | None
    metadata = [*field.metadata, *itertools.chain.from_iterable(inner)]
    metadata += [part for one in metadata if isinstance(one, FieldInfo) for part in one.metadata]
    found = {
        name: getattr(limit, name) for limit in metadata for name in BOUNDS.values() if hasattr(limit, name)
    }
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    parts = [
        f"{word} {f'{found[name]:,}'.removesuffix('.0')}" for name, word in words.items() if name in found
    ]
    return f"give {' and '.join(parts)}" if parts else ""
