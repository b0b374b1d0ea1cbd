"""What a command means before anything runs: the resolved recipe, what to tell about it, and the run folder."""

import glob
import operator
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from longtail.data.dataset import counted
from longtail.data.holdout import HELD_OUT
from longtail.data.options import OwnSource, data_name
from longtail.data.own_output import is_own, said_among_images
from longtail.data.packed import is_packed
from longtail.data.source_kinds import read_source, source_of
from longtail.engine.run_folder import RunFolder, next_free
from longtail.models.backbone import backbone_input
from longtail.recipe import Recipe, load_recipe, shipped, toml_value, validate
from longtail.report import SeedRuns, planned_seeds
from longtail.suggestions import suggest_settings
from longtail.types import InputError

RUNS = "runs"
MOST_SEEDS = 1000  # at once
OWN = get_args(OwnSource)


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


def whole_number(name: str, number: Any) -> int | None:
    try:
        return None if number is None else operator.index(number)
    except TypeError:
        raise InputError(f"{name} = {number!r} does not fit: give a whole number") from None


def prepare(
    target: str, given: dict[str, Any], epochs: int | None, out: str | Path | None, resume: bool
) -> tuple[Recipe, list[str], Path, list[Path], bool]:
    """The recipe, what to tell, the run folder, what of it is missing, whether there is a run to go on with."""
    recipe, notes, folder = plan(target, given, epochs, resume)
    if out is not None and folder is not None and Path(out).resolve() != folder.resolve():
        raise InputError(f"{target} is a run folder and is continued in place; leave out --out {out}")
    folder = folder or (Path(out) if out is not None else None)
    if resume and folder is None:
        folder = newest(recipe)
    going_on = resume and folder is not None and (folder / "recipe.toml").is_file()
    if resume and not going_on:
        notes.append(f"nothing to resume{'' if folder is None else f' in {folder}'} yet, so the run begins")
    missing = missing_folders(folder or Path(RUNS))
    if folder is None:
        folder = reserve(default_name(recipe))
        missing.insert(0, folder)
    notes += [f"{summary(recipe)} -> {folder}", *said_among_images(folder, recipe.data.path)]
    return recipe, notes, folder, missing, going_on


def plan(
    target: str, given: dict[str, Any], epochs: int | None, resume: bool
) -> tuple[Recipe, list[str], Path | None]:
    """The resolved recipe, what to tell about it, and the run folder where the target is one."""
    path = Path(target)
    if path.is_dir() and (path / "recipe.toml").is_file():
        if not resume:
            raise InputError(
                f"{target} is a run folder; continue it with --resume, or repeat it with: "
                f"longtail train {shlex.quote(str(path / 'recipe.toml'))}"
            )
        recipe, notes = load_recipe(str(path / "recipe.toml"), given, epochs=epochs)
        return (_placed(recipe, given) if "data.path" in given else recipe), notes, path
    if target not in shipped():
        _refuse_runs(path)
    if resume and not path.exists() and path.parent.name:
        raise InputError(
            f"there is no run folder {target}; name one, or repeat the original command with --resume"
        )
    place = given.get("data.path")
    if place is not None and (path.is_dir() or (path.is_file() and path.suffix != ".toml")):
        raise InputError(f"{target} and --data {place} both name the images; leave out --data")
    recipe, notes = _load(target, given, epochs)
    _refuse_frozen(recipe)
    return *_settle(recipe, notes, given), None


def _load(target: str, given: Mapping[str, Any], epochs: int | None) -> tuple[Recipe, list[str]]:
    """The recipe of a target; where it is images, with settings that fit them and this machine."""
    recipe, notes = load_recipe(target, given, epochs=epochs)
    path = Path(target)
    if target in shipped() or (path.suffix == ".toml" and not path.is_dir()):
        return _filled(recipe), notes
    suggested = suggest_settings(recipe, given, epochs)
    length = epochs or suggested.epochs
    recipe, notes = load_recipe(target, {**suggested.settings, **given}, epochs=length, base=suggested.base)
    return _filled(recipe), [*(f"chosen: {reason}" for reason in suggested.reasons), *notes]


def _filled(recipe: Recipe) -> Recipe:
    """The recipe with the image size and statistics that a network's weights were trained with, where it names none."""
    if recipe.model.is_for_small_images:
        return recipe
    known, sections = backbone_input(recipe.model.name), recipe.model_dump()
    for key, value in (("image_size", known.size), ("mean", known.mean), ("std", known.std)):
        if sections["data"][key] is None:
            sections["data"][key] = value
    return validate(sections)


def _refuse_runs(path: Path) -> None:
    """Refuse to train on a folder of runs, whose plots would make poor photographs."""
    runs = [file.parent for file in sorted(path.glob("*/recipe.toml"))]
    if runs and is_own(path):
        raise InputError(
            f"{path} holds run folders, not classes of images; name one of them, such as {runs[0]}"
        )


def _refuse_frozen(recipe: Recipe) -> None:
    """Refuse to keep stages as they are, for the whole run, that have learned nothing yet."""
    m, o = recipe.model, recipe.optim
    if o.frozen_stages and not (o.frozen_epochs or m.pretrained or m.weights):
        raise InputError(
            f"optim.frozen_stages = {o.frozen_stages} would keep the stem and as many stages of fresh weights as "
            "they are; give --pretrained or --weights FILE, or --set optim.frozen_stages=0"
        )


def _settle(recipe: Recipe, notes: list[str], given: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
    """Settle where the data lie; hold out a validation part where there is nothing else to test on."""
    recipe = _placed(recipe, given)
    if recipe.data.name not in OWN or "data.validation" in given or recipe.data.validation:
        return recipe, notes
    source = read_source(recipe.data)
    if source.test is not None or source.val is not None:
        return recipe, notes
    sections = recipe.model_dump()
    sections["data"]["validation"] = HELD_OUT
    note = f"{recipe.data.path} has no test part: {HELD_OUT:.0%} of each class is held out to evaluate on"
    return validate(sections), [*notes, f"{note} (data.validation={HELD_OUT})"]


def _placed(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with the absolute path of its data, and the kind of source that lies there."""
    if recipe.data.path is None:
        return recipe
    if recipe.data.name == "digits" and "data.path" in given:
        raise InputError(
            "the recipe trains on digits, which need no --data; to train on your own images: "
            f"longtail train {shlex.quote(str(given['data.path']))}"
        )
    sections = recipe.model_dump()
    try:
        place = str(Path(recipe.data.path).expanduser().resolve())
        (place + (recipe.data.root or "")).encode()
    except ValueError:
        raise InputError(
            f"data.path = {recipe.data.path!r} is no UTF-8 text and cannot be kept in a recipe; rename the folder"
        ) from None
    sections["data"]["path"] = place
    if recipe.data.root is not None:
        sections["data"]["root"] = str(Path(recipe.data.root).expanduser().resolve())
    if recipe.data.name == "folder" and is_packed(Path(place)):
        sections["data"]["name"] = "packed"
    if recipe.data.name in OWN and "data.path" in given and "data.name" not in given:
        sections["data"]["name"] = source_of(Path(place))
    return validate(sections)


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
            if number.isdecimal() and load_recipe(str(folder / "recipe.toml"))[0] == recipe:
                found.append((int(number), folder))
    return max(found)[1] if found else None


def missing_folders(folder: Path) -> list[Path]:
    """The folder and its parents that do not exist, the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def plan_seeds(
    target: str,
    seeds: Sequence[int] | None,
    given: dict[str, Any],
    epochs: int | None,
    out: str | Path | None,
    resume: bool,
) -> tuple[list[Recipe], list[str], SeedRuns, list[Path]]:
    """A recipe for each seed, what to tell, the runs, and which folders are made for them, the deepest first."""
    planned, parent = planned_seeds(Path(target)), None if out is None else Path(out)
    if planned is not None:
        if not resume or out is not None or seeds not in (None, planned):
            raise InputError(
                f"{target} holds runs of seeds {', '.join(map(str, planned))}; continue them with --resume alone"
            )
        seeds, parent = planned, Path(target)
        target = next((str(file) for file in sorted(parent.glob("seed-*/recipe.toml"))), "")
        if not target:
            raise InputError(f"{parent}: no run has begun; repeat the original command")
    seeds = _distinct(seeds)
    if "run.seed" in given:
        raise InputError(f"run.seed = {given['run.seed']} and several seeds are both given; keep one of them")
    recipe, notes, _ = plan(target, given | {"run.seed": seeds[0]}, epochs, resume=False)
    sections = recipe.model_dump()
    recipes = [validate(sections | {"run": sections["run"] | {"seed": seed}}) for seed in seeds]
    name = f"{default_name(recipe)}-seeds"
    if parent is None and resume:
        parent = _newest_seeds(name, recipes)
    missing = missing_folders(parent or Path(RUNS))
    if parent is None:
        parent = reserve(name)
        missing.insert(0, parent)
    begun = planned_seeds(parent)
    if resume and begun is not None and begun != seeds:
        raise InputError(
            f"{parent} holds runs of seeds {', '.join(map(str, begun))}; continue just those, or choose another --out"
        )
    if not (resume and begun):
        RunFolder(parent).check_free()
    notes += [f"{summary(recipe, seeds)} -> {parent}", *said_among_images(parent, recipe.data.path)]
    return recipes, notes, SeedRuns(parent, seeds), missing


def _distinct(seeds: Sequence[int] | None) -> list[int]:
    if len(seeds or ()) > MOST_SEEDS:
        raise InputError(f"{len(seeds or ()):,} seeds are given; give at most {MOST_SEEDS:,}")
    known = [number for seed in seeds or () if (number := whole_number("seed", seed)) is not None]
    if not known or len(set(known)) < len(known):
        given = ", ".join(map(str, known)) or "none"
        raise InputError(f"seeds {given} do not fit: give each once, as in 0,1,2")
    return known


def _newest_seeds(name: str, recipes: Sequence[Recipe]) -> Path | None:
    """The default-named folder of runs of these very recipes that was made last."""
    found, seeds = [], [recipe.run.seed for recipe in recipes]
    for folder in Path(RUNS).glob(f"{glob.escape(name)}*"):
        number = folder.name.removeprefix(name).removeprefix("-") or "1"
        with suppress(InputError):
            if number.isdecimal() and planned_seeds(folder) == seeds and _begun_as(folder, recipes):
                found.append((int(number), folder))
    return max(found)[1] if found else None


def _begun_as(folder: Path, recipes: Sequence[Recipe]) -> bool:
    """Whether some of these runs have begun there, and all that have are of these recipes."""
    known = {folder / f"seed-{recipe.run.seed}" / "recipe.toml": recipe for recipe in recipes}
    begun = [file for file in known if file.is_file()]
    return bool(begun) and all(load_recipe(str(file))[0] == known[file] for file in begun)
