"""What a command means before anything runs: the resolved recipe, what to tell about it, and the run folder."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from longtail.data.dataset import counted
from longtail.data.own_output import is_own, said_among_images
from longtail.data.source_kinds import ReadSource, read_source
from longtail.recipe import DEFAULT_FOR_IMAGES, Recipe, load_recipe, shipped, toml_value
from longtail.recipe.plan.images import filled, placed, with_validation
from longtail.recipe.plan.places import RUNS, default_name, missing_folders, newest, reserve
from longtail.recipe.suggest import Reasons, suggest_features, suggest_settings
from longtail.recipe.suggest.features import RECIPE as FEATURES
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.source_names import data_name
from longtail.types import InputError


def given_keys(
    more: Mapping[str, Any] | None,
    *,
    data: str | Path | None,
    method: str | None,
    model: str | None,
    strict: bool,
    seed: int | None = None,
) -> dict[str, Any]:
    """What the caller gave, as keys of the recipe; of `more`, text is read as a TOML value where it is one."""
    named = {"data.path": data, "method.name": method, "model.name": model, "run.seed": seed}
    named["data.strict"] = True if strict else None
    return {key: toml_value(value) for key, value in (more or {}).items()} | {
        key: str(value) if isinstance(value, Path) else value
        for key, value in named.items()
        if value is not None
    }


@dataclass(frozen=True)
class Plan:
    """What a command is about to do.

    Attributes:
        recipe: resolved.
        notes: what to say about it, beside `reasons`.
        folder: of the run; None where it is still to be found.
        resumes: whether there is a run to resume.
        made: the folders that are made for it, the deepest first.
        is_open: whether its settings are suggested, and may be found within a budget instead.
        reasons: what was suggested and why -> the keys whose values it speaks of.
    """

    recipe: Recipe
    notes: tuple[str, ...]
    folder: Path | None = None
    resumes: bool = False
    made: tuple[Path, ...] = ()
    is_open: bool = False
    reasons: Reasons = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, ...]:
        """All that there is to tell."""
        return (*(f"chosen: {reason}" for reason in self.reasons), *self.notes)

    def reasons_of(self, other: Recipe) -> list[str]:
        """The reasons that hold for another recipe too."""
        own, theirs = self.recipe.model_dump(), other.model_dump()
        pairs = {reason: [key.split(".") for key in keys] for reason, keys in self.reasons.items()}
        return [why for why, keys in pairs.items() if all(own[s][key] == theirs[s][key] for s, key in keys)]

    @property
    def place(self) -> Path:
        """The run folder of a plan that has one."""
        assert self.folder is not None
        return self.folder


def prepare(
    target: str,
    given: dict[str, Any],
    epochs: int | None,
    out: str | Path | None,
    resume: bool,
    read: ReadSource = read_source,
) -> Plan:
    """The recipe of a command, and its run folder, which is made where it has a default name.

    Args:
        target: see `longtail.train`.
        given: see `given_keys`.
        epochs: the length asked for.
        out: the run folder asked for.
        resume: whether to resume a run.
        read: lists the source of the images.

    Raises:
        InputError: something given cannot be used.
    """
    return settle_folder(plan(target, given, epochs, resume, read), out, resume, target)


def settle_folder(planned: Plan, out: str | Path | None, resume: bool, target: str) -> Plan:
    """The plan with its run folder, and whether there is a run in it to resume."""
    recipe, folder, notes = planned.recipe, planned.folder, planned.lines
    if out is not None and folder is not None and Path(out).resolve() != folder.resolve():
        raise InputError(f"{target} is a run folder and is resumed in place; leave out --out {out}")
    folder = folder or (Path(out) if out is not None else None)
    if resume and folder is None:
        folder = newest(recipe)
    resumes = resume and folder is not None and (folder / layout.RECIPE).is_file()
    if resume and not resumes:
        notes += (f"nothing to resume{'' if folder is None else f' in {folder}'} yet, so the run begins",)
    made = missing_folders(folder or Path(RUNS))
    if folder is None:
        folder = reserve(default_name(recipe))
        made.insert(0, folder)
    notes += (f"{summary(recipe)} -> {folder}", *said_among_images(folder, recipe.data.path))
    return Plan(recipe, notes, folder, resumes, tuple(made))


def plan(
    target: str,
    given: dict[str, Any],
    epochs: int | None,
    resume: bool,
    read: ReadSource = read_source,
    seconds: float | None = None,
) -> Plan:
    """The resolved recipe of a command, what to tell about it, and the run folder where the target is one.

    Args:
        target: see `longtail.train`, as are the next three.
        given: see `given_keys`.
        epochs: the length asked for.
        resume: whether to resume a run.
        read: lists the source of the images.
        seconds: that training should take at most, see `suggest_settings`.
    """
    path = Path(target)
    if path.is_dir() and (path / layout.RECIPE).is_file():
        if not resume:
            raise InputError(
                f"{target} is a run folder; resume it with --resume, or repeat it with: "
                f"longtail train {shlex.quote(str(path / layout.RECIPE))}"
            )
        RunFolder(path).check_version()
        recipe, notes = load_recipe(str(path / layout.RECIPE), given, epochs=epochs)
        return Plan(placed(recipe, given) if "data.path" in given else recipe, tuple(notes), path)
    if target not in shipped():
        _refuse_runs(path)
    if resume and not path.exists() and path.parent.name:
        raise InputError(
            f"there is no run folder {target}; name one, or repeat the original command with --resume"
        )
    place = given.get("data.path")
    if place is not None and (path.is_dir() or (path.is_file() and path.suffix != ".toml")):
        raise InputError(f"{target} and --data {place} both name the images; leave out --data")
    loaded = _load(target, given, epochs, read, seconds)
    _refuse_frozen(loaded.recipe)
    recipe, more = with_validation(placed(loaded.recipe, given), given, read)
    is_open = (
        epochs is None and "optim.epochs" not in given and not (_is_recipe(target) or recipe.model.frozen)
    )
    return replace(loaded, recipe=recipe, notes=(*loaded.notes, *more), is_open=is_open)


def _is_recipe(target: str) -> bool:
    """Whether a target names a recipe, else images."""
    path = Path(target)
    return target in shipped() or (path.suffix == ".toml" and not path.is_dir())


def _load(
    target: str, given: Mapping[str, Any], epochs: int | None, read: ReadSource, seconds: float | None
) -> Plan:
    """The recipe of a target; where it is images, with settings that fit them and this machine."""
    if _is_recipe(target):
        recipe, notes = load_recipe(target, given, epochs=epochs)
        return Plan(filled(recipe), tuple(notes))
    frozen = given.get("model.frozen") is True
    if frozen and given.get("model.weights"):
        given = {"model.pretrained": False, **given}
    has_length = type(length := given.get("optim.epochs")) is int and length > 0
    first = {key: value for key, value in given.items() if not (has_length and key == "optim.epochs")}
    # without its length, as the recipe that will be suggested may have fewer stages than this one
    recipe, _ = load_recipe(target, first, base=FEATURES if frozen else DEFAULT_FOR_IMAGES)
    recipe = placed(recipe, given)
    if frozen:
        found = suggest_features(recipe, given, epochs, read)
    else:
        found = suggest_settings(recipe, given, epochs, read, seconds=seconds)
    settings, length = {**found.settings, **given}, epochs or found.epochs
    recipe, notes = load_recipe(
        target, settings, epochs=length, base=found.base, says_scaled=epochs is not None
    )
    return Plan(recipe if frozen else filled(recipe), tuple(notes), reasons=found.reasons)


def _refuse_runs(path: Path) -> None:
    """Refuse to train on a folder of runs, whose plots would make poor photographs."""
    runs = [file.parent for file in sorted(path.glob(f"*/{layout.RECIPE}"))]
    if runs and is_own(path):
        raise InputError(
            f"{path} holds run folders, not classes of images; name one of them, such as {runs[0]}"
        )


def _refuse_frozen(recipe: Recipe) -> None:
    """Refuse to keep stages as they are, for the whole run, that have learned nothing yet."""
    m, o = recipe.model, recipe.optim
    if o.frozen_stages and not (o.frozen_epochs or m.pretrained or m.weights):
        raise InputError(
            f"optim.frozen_stages = {o.frozen_stages} would keep the stem and as many stages of random weights as "
            "they are; give --pretrained or --weights FILE, or --set optim.frozen_stages=0"
        )
    if m.frozen and not (m.pretrained or m.weights):
        raise InputError(
            "--frozen (model.frozen = true) would keep a backbone of random weights as it is; give --pretrained or "
            "--weights FILE"
        )


def summary(recipe: Recipe, seeds: Sequence[int] = ()) -> str:
    m, o = recipe.model, recipe.optim
    drawn = f"seeds {', '.join(map(str, seeds))}" if seeds else f"seed {recipe.run.seed}"
    experts = f"{m.num_experts} expert" + "s" * (m.num_experts > 1)
    factor = recipe.data.imbalance_factor
    tail = "" if factor is None else f" (imbalance factor {factor:g})"
    return (
        f"{recipe.method.name} with {m.name}, {experts}, on {data_name(recipe.data.name, recipe.data.path)}{tail}: "
        f"{counted(o.epochs, 'epoch')} of batches of {o.batch_size}, {drawn}"
    )
