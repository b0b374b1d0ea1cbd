"""The schema of a recipe, and the way from a name, a file or a folder to one frozen, validated `Recipe`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
import torch
from pydantic import BaseModel, ConfigDict, SerializeAsAny, ValidationError, field_validator, model_validator

from longtail.augment import check_operations
from longtail.data import DataOptions, source_of
from longtail.data.dataset import counted
from longtail.method import MOST_EPOCHS, Method, MethodOptions, Stage, scaled_epochs
from longtail.methods import find
from longtail.models import ModelOptions
from longtail.models.options import CHECKED
from longtail.recipe.backbone import check_frozen
from longtail.recipe.faults import check_method_of_run, explain, nearest, no_such
from longtail.recipe.lengths import too_short
from longtail.recipe.options import OptimOptions, RunOptions
from longtail.recipe.reading import (
    DEFAULT_FOR_IMAGES,
    SECTIONS,
    as_recorded,
    parse,
    read_text,
    shipped,
)
from longtail.recipe.switching import check_needs, switch
from longtail.records import short
from longtail.runs import layout
from longtail.types import InputError

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

    @model_validator(mode="after")
    def _known_views(self) -> "Recipe":
        for name in (*self.views(), *self.data.views):
            where = "data.augment" if name == "train" else f"data.views.{name}.augment"
            check_operations(self.data.as_view(name).augment, where)
        return self

    def views(self) -> dict[str, DataOptions]:
        """The data as each policy has them that the method asks for, and the recipe's own ("train").

        Raises:
            InputError: there is no policy of that name.
        """
        names = dict.fromkeys(("train", *find(self.method.name).view_names()))
        return {name: self.data.as_view(name) for name in names}

    def build_method(self, class_counts: torch.Tensor, feature_dim: int) -> Method:
        """The recipe's method for these classes and features."""
        return find(self.method.name)(self.method, class_counts, self.model.num_experts, feature_dim)

    def stages(self) -> tuple[Stage, ...]:
        """The run's stages.

        Raises:
            InputError: the stages do not fit into the run's epochs, or have no use for `run.reuse_features`.
        """
        method = find(self.method.name)
        check_needs(method, self.method.name, self.model)
        stages = method.stages(self.method, self.optim.epochs)
        if self.model.frozen:
            check_frozen(method, self.method.name, stages, self.model, self.optim)
        if self.run.reuse_features and not self.model.frozen:
            self._check_reuse(method, stages)
        if self.optim.fitted_heads and self.model.head != "linear":
            raise InputError(
                f"optim.fitted_heads fits linear classifiers, and model.head = {self.model.head!r}; "
                "set model.head=linear, or leave it out"
            )
        lengths = {stage.name: stage.epochs for stage in stages}
        if min(lengths.values()) < 1 or sum(lengths.values()) != self.optim.epochs:
            raise InputError(
                f"epochs = {self.optim.epochs} is too short for the stages of {self.method.name} "
                f"({', '.join(f'{name} {epochs}' for name, epochs in lengths.items())}); "
                f"ask for at least {max(len(stages), self.optim.epochs - min(lengths.values()) + 1)} epochs"
            )
        return stages

    def _check_reuse(self, method: type[Method], stages: tuple[Stage, ...]) -> None:
        why = ""
        if not any(stage.trains_classifiers_alone for stage in stages):
            why = "trains the features in every stage"
        if len(method.view_names()) > 1 or method.mixes_images or method.has_teacher:
            why = "takes several views of an image, mixes images or asks a teacher"
        if any(stage.second_sampler for stage in stages):
            why = "draws a second batch of images"
        if why:
            raise InputError(
                f"run.reuse_features does not go with {self.method.name}, which {why}; leave it out"
            )

    def to_toml(self) -> str:
        """The recipe as TOML; reading it back gives an equal recipe."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def load_recipe(
    target: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    epochs: int | None = None,
    base: str = DEFAULT_FOR_IMAGES,
    says_scaled: bool = True,
) -> tuple[Recipe, list[str]]:
    """A recipe from what the user named, and what to tell about it.

    Args:
        target: a shipped recipe, a recipe.toml, a folder of images (or of Parquet files).
        overrides: "section.key" -> value.
        base: the shipped recipe for a target that is images.
        epochs: run this long instead, scaling the recipe's epoch windows and stages that `overrides` does not name.
        says_scaled: whether the notes say what was scaled.

    Raises:
        InputError: an unknown recipe, section, key or method (the nearest is named), a value of the wrong type or out
            of range, an unreadable file.
    """
    sections, given = _read(target, base), overrides or {}
    notes = _apply(sections, given)
    check_method_of_run(sections, Path(target))
    recipe = validate(sections)
    if epochs is not None:
        recipe, scaled = _scale(recipe, epochs, keep=set(given))
        notes += scaled if says_scaled else []
    notes += too_short(recipe.method, recipe.optim, recipe.stages())
    notes += [
        f"data.views.{name} is used by no view of {recipe.method.name}"
        for name in recipe.data.views
        if name not in recipe.views()
    ]
    return recipe, notes


def read_again(target: str) -> Recipe:
    """A recipe that was valid before, a shipped one or that of a run, without timm, which takes seconds to load.

    The network's name is taken as it is: only timm knows whether there is such a network.

    Raises:
        InputError: see `load_recipe`.
    """
    return validate(_read(target, DEFAULT_FOR_IMAGES), checked=True)


def validate(sections: Mapping[str, Any], *, checked: bool = False) -> Recipe:
    """A recipe from plain sections; every fault is one line.

    Args:
        checked: the network's name is known to be valid.

    Raises:
        InputError: see `load_recipe`.
    """
    try:
        return Recipe.model_validate(sections, context={CHECKED: checked})
    except ValidationError as error:
        raise InputError(explain(error, sections)) from None


def changed(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of some keys, "section.key" -> value.

    Raises:
        InputError: see `load_recipe`.
    """
    sections = recipe.model_dump()
    _apply(sections, given)
    return validate(sections)


def scaled(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe as a run of so many epochs, its windows and stages in proportion.

    Raises:
        InputError: epochs is no positive whole number.
    """
    return _scale(recipe, epochs, keep=set())[0]


def difference(old: Recipe, new: Recipe) -> list[str]:
    """Lines "section.key: old -> new" for every key in which two recipes differ."""
    a, b = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return [f"{k}: {a.get(k)} -> {b.get(k)}" for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def _flat(sections: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Every key by its path; a table without keys is a value."""
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{start}{key}.") if inner else {start + key: value}
    return flat


def _read(target: str, base_for_images: str) -> dict[str, Any]:
    recipes, path = shipped(), Path(target)
    if target in recipes:
        text, origin = recipes[target], target
    elif path.is_dir() or (path.is_file() and source_of(path) != "folder"):
        sections = parse(recipes[base_for_images], base_for_images)
        sections["data"] |= {"name": source_of(path), "path": str(path)}
        return sections
    elif path.suffix == ".toml" and path.is_file():
        text, origin = read_text(path), target
    else:
        raise InputError(no_such(target, list(recipes)))
    sections = parse(text, origin)
    if target not in recipes and (path.parent / layout.ENVIRONMENT).is_file():
        return as_recorded(sections)
    base = sections.pop("base", None)
    if base is None:
        return sections
    if not isinstance(base, str) or base not in recipes:
        raise InputError(
            f"{origin}: base = {base!r} is not a shipped recipe; recipes are {', '.join(recipes)}"
        )
    merged = parse(recipes[base], base)
    if "base" in merged:
        raise InputError(
            f"{origin}: base {base!r} has a base itself; only one level is allowed, so copy its keys"
        )
    _apply(merged, _flat(sections))
    return merged


def _apply(sections: dict[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Write the given keys into the sections; another method drops the keys of the old one."""
    notes = switch(sections, given)
    for key, value in given.items():
        *path, leaf = key.split(".")
        if not path or path[0] not in SECTIONS:
            raise InputError(f"unknown key {short(key)}; {nearest(key, sections)}")
        table = sections
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InputError(f"unknown key {short(key)}; {nearest(key, sections)}")
        table[leaf] = value
    return notes


def _scale(recipe: Recipe, epochs: int, keep: set[str]) -> tuple[Recipe, list[str]]:
    old = recipe.optim.epochs
    if not isinstance(epochs, int) or isinstance(epochs, bool) or not 1 <= epochs <= MOST_EPOCHS:
        raise InputError(
            f"optim.epochs = {short(epochs)} does not fit: give a whole number, at least 1 and at most {MOST_EPOCHS:,}"
        )
    sections, changes = recipe.model_dump(exclude_none=True), []
    for section, options in (("method", recipe.method), ("optim", recipe.optim)):
        for key, value in scaled_epochs(options, old, epochs).items():
            if f"{section}.{key}" not in keep and (value or getattr(options, key)):
                changes.append(f"{key} {getattr(options, key)} -> {value}")
                sections[section][key] = value
    sections["optim"]["epochs"] = epochs
    note = (
        [f"{counted(epochs, 'epoch')} instead of {old}: {', '.join(changes)}"]
        if changes and epochs != old
        else []
    )
    return validate(sections), note
