"""The schema of a recipe, and the way from a name, a file or a folder to one frozen, validated `Recipe`."""

import difflib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
import torch
from pydantic import BaseModel, ConfigDict, SerializeAsAny, ValidationError, field_validator

from longtail.data import DataOptions, source_of
from longtail.data.dataset import counted
from longtail.method import Method, MethodOptions, Stage, scaled_epochs, window_starts
from longtail.methods import find
from longtail.models import ModelOptions
from longtail.run_options import OptimOptions, RunOptions
from longtail.types import InputError

SECTIONS = ("data", "model", "method", "optim", "run")
DEFAULT_FOR_IMAGES = "icl-images"  # small ones, from fresh weights
FINE_TUNING = "finetune"


class Recipe(BaseModel):
    """Everything that decides a run's result, beside the machine and the versions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataOptions
    model: ModelOptions = ModelOptions()
    method: SerializeAsAny[MethodOptions]
    optim: OptimOptions = OptimOptions()
    run: RunOptions = RunOptions()

    @field_validator("method", mode="before")
    @classmethod
    def _options_of_the_method(cls, value: Any) -> Any:
        return (
            find(value["name"]).Options(**value) if isinstance(value, Mapping) and "name" in value else value
        )

    def build_method(self, class_counts: torch.Tensor, feature_dim: int) -> Method:
        """The recipe's method for these classes and features."""
        return find(self.method.name)(self.method, class_counts, self.model.num_experts, feature_dim)

    def stages(self) -> tuple[Stage, ...]:
        """The run's stages.

        Raises:
            InputError: the stages do not fit into the run's epochs, or have no use for `run.reuse_features`.
        """
        method = self.build_method(torch.ones(2, dtype=torch.int64), 1)
        stages = method.stages(self.optim.epochs)
        if self.run.reuse_features:
            self._check_reuse(method, stages)
        lengths = {stage.name: stage.epochs for stage in stages}
        if min(lengths.values()) < 1 or sum(lengths.values()) != self.optim.epochs:
            raise InputError(
                f"epochs = {self.optim.epochs} is too short for the stages of {self.method.name} "
                f"({', '.join(f'{name} {epochs}' for name, epochs in lengths.items())}); "
                f"ask for at least {max(len(stages), self.optim.epochs - min(lengths.values()) + 1)} epochs"
            )
        return stages

    def _check_reuse(self, method: Method, stages: tuple[Stage, ...]) -> None:
        why = ""
        if not any(stage.trains_classifiers_alone for stage in stages):
            why = "trains the features in every stage"
        if method.views > 1 or type(method).prepare is not Method.prepare:
            why = "takes several views of an image, or mixes images"
        if why:
            raise InputError(
                f"run.reuse_features does not go with {self.method.name}, which {why}; leave it out"
            )

    def to_toml(self) -> str:
        """The recipe as TOML; reading it back gives an equal recipe."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def shipped() -> dict[str, str]:
    """The recipes that come with the package: name -> text of the file."""
    folder = resources.files("longtail") / "recipes"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {f.name.removesuffix(".toml"): f.read_text("utf-8") for f in files if f.name.endswith(".toml")}


def load_recipe(
    target: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    epochs: int | None = None,
    base: str = DEFAULT_FOR_IMAGES,
) -> tuple[Recipe, list[str]]:
    """A recipe from what the user named, and what to tell about it.

    Args:
        target: a shipped recipe, a recipe.toml, a folder of images (or of Parquet files).
        overrides: "section.key" -> value.
        base: the shipped recipe for a target that is images.
        epochs: run this long instead, scaling the recipe's epoch windows and stages that `overrides` does not name.

    Raises:
        InputError: an unknown recipe, section, key or method (the nearest is named), a value of the wrong type or out
            of range, an unreadable file.
    """
    sections, given = _read(target, base), overrides or {}
    notes = _apply(sections, given)
    recipe = validate(sections)
    if epochs is not None:
        recipe, scaled = _scale(recipe, epochs, keep=set(given))
        notes += scaled
    first = recipe.stages()[0]
    notes += [
        f"{key} = {start} is never reached: the {first.name} stage has {counted(first.epochs, 'epoch')}"
        for key, start in window_starts(recipe.method).items()
        if start >= first.epochs
    ]
    return recipe, notes


def validate(sections: Mapping[str, Any]) -> Recipe:
    """A recipe from plain sections, every fault told in one line.

    Raises:
        InputError: see `load_recipe`.
    """
    try:
        return Recipe.model_validate(sections)
    except ValidationError as error:
        raise InputError(_explain(error, sections)) from None


def difference(old: Recipe, new: Recipe) -> list[str]:
    """Lines "section.key: old -> new" for every key in which two recipes differ."""
    a, b = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return [f"{k}: {a.get(k)} -> {b.get(k)}" for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def _flat(sections: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _read(target: str, base_for_images: str) -> dict[str, Any]:
    recipes, path = shipped(), Path(target)
    if target in recipes:
        text, origin = recipes[target], target
    elif path.is_dir() or (path.is_file() and source_of(path) != "folder"):
        sections = _parse(recipes[base_for_images], base_for_images)
        sections["data"] |= {"name": source_of(path), "path": str(path)}
        return sections
    elif path.suffix == ".toml" and path.is_file():
        text, origin = _text(path), target
    else:
        raise InputError(_no_such(target, list(recipes)))
    sections = _parse(text, origin)
    base = sections.pop("base", None)
    if base is None:
        return sections
    if not isinstance(base, str) or base not in recipes:
        raise InputError(
            f"{origin}: base = {base!r} is not a shipped recipe; recipes are {', '.join(recipes)}"
        )
    merged = _parse(recipes[base], base)
    if "base" in merged:
        raise InputError(
            f"{origin}: base {base!r} has a base itself; only one level is allowed, so copy its keys"
        )
    _apply(merged, _flat(sections))
    return merged


def _no_such(target: str, recipes: list[str]) -> str:
    path = Path(target)
    if path.is_file():
        return (
            f"{target} is neither a table of images nor a recipe; give its folder, a .csv, .parquet, .txt or .json "
            f"file that lists images, a recipe.toml or a shipped recipe ({', '.join(recipes)})"
        )
    near = difflib.get_close_matches(target, recipes, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"recipes are {', '.join(recipes)}"
    if path.suffix == ".toml" or path.name != target:
        return f"{target} does not exist; give a recipe.toml, a folder of images or a shipped recipe; {hint}"
    return f"no recipe, recipe.toml or folder of images is called {target!r}; {hint}"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} as UTF-8 text ({error}); save it as UTF-8") from None


def _parse(text: str, origin: str) -> dict[str, Any]:
    try:
        sections = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{origin} is not valid TOML: {error}") from None
    loose = [key for key, value in sections.items() if not isinstance(value, dict) and key != "base"]
    if loose:
        raise InputError(
            f"{origin}: key {loose[0]!r} stands outside the sections {', '.join(SECTIONS)}; move it into one"
        )
    return sections


def toml_value(value: Any) -> Any:
    """Text as the TOML value that it is, none and null as None; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return value


def _apply(sections: dict[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Write the given keys into the sections; another method drops the keys of the old one."""
    notes = []
    name = given.get("method.name")
    old = sections.get("method", {})
    if name is not None and name != old.get("name", name):
        dropped = [key for key in old if key != "name"]
        sections["method"] = {"name": name}
        if dropped:
            notes.append(f"method {name}: the recipe's {len(dropped)} keys of {old['name']} do not apply")
    for key, value in given.items():
        section, dot, leaf = key.partition(".")
        if not dot or section not in SECTIONS:
            raise InputError(f"unknown key {key!r}; {_nearest(key, sections)}")
        sections.setdefault(section, {})[leaf] = value
    return notes


def _known_keys(sections: Mapping[str, Any]) -> list[str]:
    name = sections.get("method", {}).get("name")
    method: type[BaseModel] = find(name).Options if name else MethodOptions
    models: tuple[type[BaseModel], ...] = (DataOptions, ModelOptions, method, OptimOptions, RunOptions)
    return [
        f"{section}.{key}"
        for section, model in zip(SECTIONS, models, strict=True)
        for key in model.model_fields
    ]


def _nearest(key: str, sections: Mapping[str, Any]) -> str:
    keys = _known_keys(sections)
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


def _explain(error: ValidationError, sections: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    refusal = first.get("ctx", {}).get("error")
    if isinstance(refusal, InputError):
        return str(refusal)
    where = [str(part) for part in first["loc"]]
    if error.title != "Recipe":
        where.insert(0, "method")
    key = ".".join(where[:2])
    if not key:
        return "a recipe has the sections [data] [model] [method] [optim] [run]; this is none"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {_nearest(key, sections)}"
    if first["type"] == "missing":
        return {
            1: f"section [{key}] is missing; add it, or begin with base = {next(iter(shipped()))!r}",
            2: f"key {key!r} is missing; give it in the recipe or with --set {key}=...",
        }.get(len(where), f"{key} does not fit: it has too few values")
    return f"{key} = {first['input']!r} does not fit: {first['msg'][0].lower()}{first['msg'][1:]}"


def _scale(recipe: Recipe, epochs: int, keep: set[str]) -> tuple[Recipe, list[str]]:
    old = recipe.optim.epochs
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise InputError(f"optim.epochs = {epochs!r} does not fit: give a whole number, at least 1")
    sections, changes = recipe.model_dump(exclude_none=True), []
    for section, options in (("method", recipe.method), ("optim", recipe.optim)):
        for key, value in scaled_epochs(options, old, epochs).items():
            if f"{section}.{key}" not in keep and (value or getattr(options, key)):
                changes.append(f"{key} {getattr(options, key)} -> {value}")
                sections[section][key] = value
    sections["optim"]["epochs"] = epochs
    note = [f"{epochs} epochs instead of {old}: {', '.join(changes)}"] if changes and epochs != old else []
    return validate(sections), note
