"""Several seeds of one command: a recipe for each, and the folder of their runs."""

import glob
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.data.own_output import said_among_images
from longtail.data.source_kinds import ReadSource, read_source
from longtail.recipe import Recipe, load_recipe, validate
from longtail.recipe.plan.command import Plan, plan, summary
from longtail.recipe.plan.places import RUNS, default_name, missing_folders, reserve
from longtail.runs import SeedRuns, layout, planned_seeds
from longtail.runs.folder import RunFolder
from longtail.train_arguments import checked_seeds
from longtail.types import InputError


@dataclass(frozen=True)
class SeedsPlan:
    """What a command of several seeds is about to do.

    Attributes:
        recipes: one for each seed.
        notes: what to tell about them.
        runs: the runs, none of them begun unless they are resumed.
        made: the folders that are made for them, the deepest first.
    """

    recipes: tuple[Recipe, ...]
    notes: tuple[str, ...]
    runs: SeedRuns
    made: tuple[Path, ...]


def plan_seeds(
    target: str,
    seeds: Sequence[int] | None,
    given: dict[str, Any],
    epochs: int | None,
    out: str | Path | None,
    resume: bool,
    read: ReadSource = read_source,
    settle: Callable[[Plan], Plan] = lambda planned: planned,
    seconds: float | None = None,
) -> SeedsPlan:
    """The plan of several seeds; arguments as of `prepare`, and `settle`, what finds settings within a budget."""
    planned, parent = planned_seeds(Path(target)), None if out is None else Path(out)
    if planned is not None:
        if not resume or out is not None or seeds not in (None, planned):
            raise InputError(
                f"{target} holds runs of seeds {', '.join(map(str, planned))}; resume them with --resume alone"
            )
        seeds, parent = planned, Path(target)
        target = next(
            (str(file) for file in sorted(parent.glob(f"{layout.seed_folder('*')}/{layout.RECIPE}"))), ""
        )
        if not target:
            raise InputError(f"{parent}: no run has begun; repeat the original command")
        RunFolder(Path(target).parent).check_version()
    seeds = checked_seeds(seeds)
    if "run.seed" in given:
        raise InputError(f"run.seed = {given['run.seed']} and several seeds are both given; keep one of them")
    planned_one = plan(
        target, given | {"run.seed": seeds[0]}, epochs, resume=False, read=read, seconds=seconds
    )
    planned_one = settle(planned_one)
    recipe, notes = planned_one.recipe, list(planned_one.lines)
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
            f"{parent} holds runs of seeds {', '.join(map(str, begun))}; resume just those, or choose another --out"
        )
    if not (resume and begun):
        RunFolder(parent).check_free()
    notes += [f"{summary(recipe, seeds)} -> {parent}", *said_among_images(parent, recipe.data.path)]
    return SeedsPlan(tuple(recipes), tuple(notes), SeedRuns(parent, seeds), tuple(missing))


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
    known = {folder / layout.seed_folder(recipe.run.seed) / layout.RECIPE: recipe for recipe in recipes}
    begun = [file for file in known if file.is_file()]
    return bool(begun) and all(load_recipe(str(file))[0] == known[file] for file in begun)
