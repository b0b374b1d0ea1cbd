"""The cells of a study: a row and a seed each, with its recipe, its run folder and its result file."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail.data.source_kinds import read_source
from longtail.predict import Prior
from longtail.recipe import Recipe, changed, load_recipe, validate
from longtail.recipe.plan import given_keys
from longtail.records import Record, read_record
from longtail.runs import layout
from longtail.study.result import Result, read_result
from longtail.study.settings import differences, row_recipe, stored_recipe
from longtail.study.study_file import Study, load_study, nearest
from longtail.types import InputError

RUNS = "runs"


@dataclass(frozen=True)
class Request:
    """What the caller of a study wants; it can be sent to another process.

    Attributes:
        study: a shipped study or a study.toml.
        data: where the images are, in place of the study's.
        out: folder of the run folders, OUT/STUDY/ROW/seed-N.
        results: folder of the result files; None takes OUT/STUDY/results.
        only: keys of the rows to run; none: all.
        seeds: in place of the study's and the rows'; none: those.
        set: keys of the recipe, "section.key" -> value, over all others.
    """

    study: str
    data: str | None = None
    out: str = RUNS
    results: str | None = None
    only: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    set: Mapping[str, Any] = field(default_factory=dict)


class Failure(Record):
    """Why a cell failed.

    Attributes:
        token: of this failure alone.
        reason: one line.
        trace: where, for a fault of the program.
    """

    token: str
    reason: str
    trace: str = ""


@dataclass(frozen=True)
class Cell:
    """A row and a seed.

    Attributes:
        key: of the row.
        seed: of the run.
        recipe: all of it.
        place: OUT/STUDY/ROW/seed-N, the run folder; files of the same name beside it are the cell's too. Rows of equal
            settings share the runs of the first.
        result: its result file.
        prior: class prior to evaluate for.
        command: what runs it.
    """

    key: str
    seed: int
    recipe: Recipe
    place: Path
    result: Path
    prior: Prior | None
    command: str

    def __str__(self) -> str:
        return f"{self.key}, seed {self.seed}"

    @property
    def lock(self) -> Path:
        return self.place.with_name(f"{self.place.name}.lock")

    @property
    def settings(self) -> Path:
        """The recipe as a file, which `longtail train` takes."""
        return self.place.with_name(f"{self.place.name}.toml")

    @property
    def failure_file(self) -> Path:
        return self.place.with_name(f"{self.place.name}.failed.json")

    @property
    def done(self) -> bool:
        return self.result.is_file()

    @property
    def begun(self) -> bool:
        return (self.place / layout.RECIPE).is_file()

    @property
    def failure(self) -> Failure | None:
        """Why it failed when it was last tried; None where it did not."""
        if self.done or not self.failure_file.is_file():
            return None
        return read_record(self.failure_file, Failure, "remove it")

    def read(self) -> Result:
        return read_result(self.result)


@dataclass(frozen=True)
class Plan:
    """A study and the cells that were asked for, those of the first seed of each row first.

    Attributes:
        study: see there.
        cells: in the order in which they are begun.
        folder: OUT/STUDY.
        results: folder of the result files.
    """

    study: Study
    cells: tuple[Cell, ...]
    folder: Path
    results: Path


def plan_study(request: Request) -> Plan:
    """The cells of a request.

    Raises:
        InputError: the study, a row, a seed or a key cannot be used; or a result file or run folder of a cell was made
            with other settings.
    """
    study = load_study(request.study)
    folder = Path(request.out) / study.name
    results = folder / "results" if request.results is None else Path(request.results)
    data = request.data or study.data
    place = None if data is None else Path(data).expanduser().resolve()
    if place is not None and not place.exists():
        raise InputError(f"{data} does not exist; give the place of the images with --data")
    for made in (folder, results):
        if made.exists() and not made.is_dir():
            raise InputError(f"{made} is a file; choose another folder with --out or --results")
    given = given_keys(request.set, data=place, method=None, model=None, strict=False)
    if "run.seed" in given:
        raise InputError("run.seed is set by the study; give --seeds N,N,... in place of --set run.seed")
    if len(set(request.seeds)) < len(request.seeds):
        raise InputError(
            f"seeds {', '.join(map(str, request.seeds))} do not fit: give each once, as in 0,1,2"
        )
    rows = {key: row_recipe(study, key, given) for key in study.rows}
    homes = {key: next(first for first in rows if rows[first] == rows[key]) for key in rows}
    chosen = _chosen(request.only, study)
    seeds = {key: request.seeds or study.rows[key].seeds or study.seeds for key in chosen}
    cells = [
        _cell(study, key, rows[key], seeds[key][number], folder / homes[key], results, request)
        for number in range(max(map(len, seeds.values())))
        for key in chosen
        if number < len(seeds[key])
    ]
    for cell in cells:
        _check_settings(cell)
    return Plan(study, tuple(cells), folder, results)


def check_images(plan: Plan) -> None:
    """Look once at the images of what is left to run, so that missing ones are one refusal and not one for each cell.

    Raises:
        InputError: they are not there, or are of no form that is read.
    """
    seen = set()
    for cell in plan.cells:
        data = cell.recipe.data
        place = (data.name, data.path, data.root)
        if cell.done or place in seen:
            continue
        seen.add(place)
        try:
            read_source(data)
        except InputError as error:
            raise InputError(f"{plan.study.name}: {error}", error.details) from None


def result_file(results: Path, study: str, key: str, seed: int) -> Path:
    """Where the result of a cell lies."""
    return results / f"{study}.{key}.{layout.seed_folder(seed)}.json"


def _chosen(only: Sequence[str], study: Study) -> list[str]:
    wrong = next((key for key in only if key not in study.rows), None)
    if wrong is not None:
        raise InputError(f"study {study.name} has no row {wrong!r}; {nearest(wrong, study.rows)}")
    return [key for key in study.rows if not only or key in only]


def _cell(
    study: Study, key: str, recipe: Recipe, seed: int, home: Path, results: Path, request: Request
) -> Cell:
    sections = recipe.model_dump()
    seeded = validate(sections | {"run": sections["run"] | {"seed": seed}})
    return Cell(
        key, seed, seeded, home / layout.seed_folder(seed), result_file(results, study.name, key, seed),
        study.rows[key].prior, _command(study, key, seed, request),
    )  # fmt: skip


def _command(study: Study, key: str, seed: int, request: Request) -> str:
    """What runs a cell, without what depends on the machine or on how the work is divided."""
    words = ["longtail", "bench", Path(request.study).name, "--only", key]
    words += [] if request.data is None else ["--data", Path(request.data).name]
    for name, value in request.set.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join([*words, "--seeds", str(seed)])


def _check_settings(cell: Cell) -> None:
    """Refuse a result or a run of other settings in the place of this cell's."""
    found = []
    if cell.done and (settings := cell.read().settings) is not None:
        found.append((cell.result, "--results", stored_recipe(settings, cell.recipe)))
    if cell.begun and cell.settings.is_file():
        found.append((cell.place, "--out", load_recipe(str(cell.settings))[0]))
    for place, option, stored in found:
        changes = differences(stored, cell.recipe)
        if changes:
            raise InputError(
                f"{place} was made with other settings than {cell} has now; move it away, or give another {option}",
                changes,
            )


def tokens(cells: Sequence[Cell]) -> set[str]:
    """The failures that there are."""
    return {failure.token for cell in cells if (failure := cell.failure) is not None}


def recipe_for(cell: Cell, threads: int) -> Recipe:
    """The recipe of a fresh run, with so many threads where it leaves them open; 0 leaves them to PyTorch."""
    open_ = cell.recipe.run.threads == 0 and threads > 0
    return changed(cell.recipe, {"run.threads": threads}) if open_ else cell.recipe
