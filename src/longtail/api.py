"""What the command line and Python share: from a target and a few words to a finished run."""

import glob
import operator
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from longtail.data.loading import read_source
from longtail.data.packed import is_packed
from longtail.engine.processes import join_processes
from longtail.engine.run_folder import next_free
from longtail.engine.train import fit
from longtail.predict import load
from longtail.recipe import Recipe, load_recipe, shipped, validate
from longtail.report import Run
from longtail.types import InputError

RUNS = "runs"
HELD_OUT = 0.2
OWN = ("folder", "parquet", "packed")  # sources of the user's own images


def train(
    target: str | Path,
    *,
    data: str | Path | None = None,
    method: str | None = None,
    model: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    resume: bool = False,
    strict: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a recipe, or on a folder of images, and evaluate.

    Args:
        target: a shipped recipe, a recipe.toml, a folder of images; with `resume` also a run folder.
        data: where the images are (`data.path`).
        method: `method.name` instead of the recipe's.
        model: `model.name` instead of the recipe's.
        epochs: length of the run; the recipe's epoch windows scale with it.
        seed: `run.seed` instead of the recipe's.
        out: run folder, new or empty; default `runs/<data>-<method>-<model>`, numbered when that exists.
        set: further keys of the recipe, "section.key" -> value.
        resume: continue the run in `target` or `out`, or the newest default-named run of an equal recipe;
            where there is none yet, start it.
        strict: refuse unreadable images and whatever else would be skipped and reported (`data.strict`).
        quiet: show nothing.

    Returns:
        The run, whose `path` and `metrics` say where it lies and how good it is.

    Raises:
        InputError: something given cannot be used; unless an epoch was finished, nothing is left behind.
        KeyboardInterrupt: stopped by the user; the message says how to continue.
    """
    epochs, seed = _whole("epochs", epochs), _whole("seed", seed)
    named = {"data.path": data, "method.name": method, "model.name": model, "run.seed": seed}
    named["data.strict"] = True if strict else None
    given = dict(set or {}) | {
        key: str(value) if isinstance(value, Path) else value
        for key, value in named.items()
        if value is not None
    }
    processes = join_processes()
    planned = processes.on_first(lambda: _prepare(str(target), given, epochs, out, resume))
    recipe, notes, folder, missing, going_on = planned
    made = missing if processes.is_first else []
    _fit(recipe, folder, made, notes, resume=going_on, quiet=quiet)
    return Run(folder)


def evaluate(run: str | Path, data: str | Path | None = None, *, strict: bool = False) -> dict[str, Any]:
    """Evaluate a run and write `eval/<split>/` into its folder.

    Args:
        run: the run folder.
        data: a root with `test/` or a tree of class folders, matched to the classes by name; default: the
            run's own test part, or its validation part where it has no test part.
        strict: refuse unreadable images, unknown classes and classes without images.

    Returns:
        The content of metrics.json.
    """
    return load(run).evaluate(data, strict=strict)


def _whole(name: str, number: Any) -> int | None:
    try:
        return None if number is None else operator.index(number)
    except TypeError:
        raise InputError(f"{name} = {number!r} does not fit: give a whole number") from None


def _prepare(
    target: str, given: dict[str, Any], epochs: int | None, out: str | Path | None, resume: bool
) -> tuple[Recipe, list[str], Path, list[Path], bool]:
    """The recipe, what to tell, the run folder, what of it is missing, whether there is a run to go on with."""
    recipe, notes, folder = _plan(target, given, epochs, resume)
    if out is not None and folder is not None and Path(out).resolve() != folder.resolve():
        raise InputError(f"{target} is a run folder and is continued in place; leave out --out {out}")
    folder = folder or (Path(out) if out is not None else None)
    if resume and folder is None:
        folder = _newest(recipe)
    going_on = resume and folder is not None and (folder / "recipe.toml").is_file()
    if resume and not going_on:
        notes.append(f"nothing to resume{'' if folder is None else f' in {folder}'} yet, so the run begins")
    missing = _missing(folder or Path(RUNS))
    if folder is None:
        folder = _reserve(recipe)
        missing.insert(0, folder)
    notes.append(f"{_summary(recipe)} -> {folder}")
    return recipe, notes, folder, missing, going_on


def _plan(
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
        return recipe, notes, path
    if target not in shipped():
        _refuse_runs(path)
    if resume and not path.exists() and path.parent.name:
        raise InputError(
            f"there is no run folder {target}; name one, or repeat the original command with --resume"
        )
    recipe, notes = load_recipe(target, given, epochs=epochs)
    place = given.get("data.path")
    if place is not None and path.is_dir():
        raise InputError(f"{target} and --data {place} both name the images; leave out --data")
    if place is not None and recipe.data.name == "digits":
        raise InputError(
            f"{target} trains on digits, which need no --data; to train on your own images: "
            f"longtail train {shlex.quote(str(place))}"
        )
    return *_settle(recipe, notes, given), None


def _refuse_runs(path: Path) -> None:
    """Refuse to train on a folder of runs, whose plots would make poor photographs."""
    runs = [file.parent for file in sorted(path.glob("*/recipe.toml"))]
    if runs:
        raise InputError(
            f"{path} holds run folders, not classes of images; name one of them, such as {runs[0]}"
        )


def _settle(recipe: Recipe, notes: list[str], given: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
    """Make the data's path absolute; hold out a validation part where there is nothing else to test on."""
    if recipe.data.path is None:
        return recipe, notes
    sections = recipe.model_dump()
    try:
        place = str(Path(recipe.data.path).expanduser().resolve())
        place.encode()
    except ValueError:
        raise InputError(
            f"data.path = {recipe.data.path!r} is no UTF-8 text and cannot be kept in a recipe; rename the folder"
        ) from None
    sections["data"]["path"] = place
    if recipe.data.name == "folder" and is_packed(Path(place)):
        sections["data"]["name"] = "packed"
    recipe = validate(sections)
    if recipe.data.name not in OWN or "data.validation" in given or recipe.data.validation:
        return recipe, notes
    source = read_source(recipe.data)
    if source.test is not None or source.val is not None:
        return recipe, notes
    sections["data"]["validation"] = HELD_OUT
    note = f"{recipe.data.path} has no test part: {HELD_OUT:.0%} of each class is held out to evaluate on"
    return validate(sections), [*notes, f"{note} (data.validation={HELD_OUT})"]


def _summary(recipe: Recipe) -> str:
    m, o = recipe.model, recipe.optim
    experts = f"{m.num_experts} expert" + "s" * (m.num_experts > 1)
    tail = (
        ""
        if recipe.data.imbalance_factor is None
        else f" (imbalance factor {recipe.data.imbalance_factor:g})"
    )
    return (
        f"{recipe.method.name} with {m.name}, {experts}, on {_data_name(recipe)}{tail}: "
        f"{o.epochs} epochs of batches of {o.batch_size}, seed {recipe.run.seed}"
    )


def _data_name(recipe: Recipe) -> str:
    own = recipe.data.name in OWN and recipe.data.path is not None
    return Path(recipe.data.path or "").stem if own else recipe.data.name


def _default_name(recipe: Recipe) -> str:
    return "-".join((_data_name(recipe).replace(" ", "_"), recipe.method.name, recipe.model.name))


def _reserve(recipe: Recipe) -> Path:
    """A fresh default folder, made at once so that runs started together do not take the same."""
    while True:
        folder = next_free(RUNS, _default_name(recipe))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"cannot make {folder} ({error.strerror}); choose a folder with --out") from None
        return folder


def _newest(recipe: Recipe) -> Path | None:
    """The default-named run of this very recipe that was made last."""
    name, found = _default_name(recipe), []
    for folder in Path(RUNS).glob(f"{glob.escape(name)}*"):
        number = folder.name.removeprefix(name).removeprefix("-") or "1"
        with suppress(InputError):
            if number.isdecimal() and load_recipe(str(folder / "recipe.toml"))[0] == recipe:
                found.append((int(number), folder))
    return max(found)[1] if found else None


def _missing(folder: Path) -> list[Path]:
    """The folder and its parents that do not exist, the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _fit(
    recipe: Recipe, folder: Path, missing: list[Path], notes: list[str], *, resume: bool, quiet: bool
) -> None:
    """Train; a run that is refused before its first finished epoch leaves no folder behind."""
    try:
        fit(recipe, str(folder), resume=resume, quiet=quiet, notes=notes)
    except KeyboardInterrupt:
        _remove_empty(missing)
        if (folder / "recipe.toml").is_file():
            again = f"longtail train {shlex.quote(str(folder))} --resume"
            raise KeyboardInterrupt(f"interrupted; continue with: {again}") from None
        raise KeyboardInterrupt("interrupted before the first step; nothing was written") from None
    except InputError:
        _remove_empty(missing)
        raise


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
