"""Everything needed to repeat the run, and the words of the report."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from longtail.data.options import NamedSet
from longtail.engine.run_records import Environment, plain
from longtail.recipe import Recipe, load_recipe, shipped
from longtail.report.facts.confidence import DRAWN_FROM
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.run_sections import Repeat
from longtail.report.places import recipe_of
from longtail.report.run import Run
from longtail.types import InputError

NAMED = get_args(NamedSet)  # data with a recipe of their own
MACHINE = (
    ("device", "device"), ("device_name", "device name"), ("cpu_count", "processor cores"), ("threads", "threads"),
    ("processes", "processes"), ("system", "system"),
)  # fmt: skip
GLOSSARY = (
    ("recall", "share of a class's images that are named correctly"),
    ("precision", "when it says this class, how often that is right; depends on the mix of classes"),
    ("overall", "share of all images named correctly; common classes dominate it"),
    ("macro", "mean of the classes' recalls; every class counts the same"),
    ("many, medium, few", "groups of classes by their number of training images"),
    ("interval", "where the value would lie, 19 times of 20, had other images of the same kind been drawn"),
    ("confidence", "what the model says its chance of being right is"),
    ("temperature", "a number that confidences are softened by, so that they come true on average"),
    ("coverage", "share of the images that are answered when unsure answers are withheld"),
    ("expert", "one of the branches of the network, each with an answer of its own"),
    (
        "clearly weak",
        "outside what luck explains in its group; of all classes called so, at most one in ten wrongly",
    ),
    ("source", "patient, camera or burst; its images resemble each other"),
)


def repeat(run: Run, e: Evaluation | None) -> Repeat:
    """The section, from recipe.toml, env.json and the log."""
    stored = run.record("env.json", Environment)
    environment = {} if stored is None else plain(stored)
    name, changes = _nearest(run)
    seconds = [record["seconds"] for record in run.log if "seconds" in record]
    return Repeat(
        command=f"longtail train {recipe_of(run)}",
        shipped=name,
        changes=changes,
        seed=int(run.recipe.get("run", {}).get("seed", 0)),
        index_hash=str(environment.get("index_hash", "")),
        versions=tuple((key, str(value)) for key, value in environment.get("versions", {}).items()),
        machine=tuple((word, str(environment[key])) for key, word in MACHINE if key in environment),
        seconds=float(sum(seconds)) if seconds else None,
        limits=tuple(_limits(e)),
        glossary=GLOSSARY,
    )


def _flat(recipe: Recipe) -> dict[str, Any]:
    sections = recipe.model_dump(mode="json")
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _nearest(run: Run) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The shipped recipe on the same kind of data with the fewest changes; where the images lie is none."""
    try:
        mine = _flat(load_recipe(str(run.path / "recipe.toml"))[0])
    except InputError:  # of another version, or of a method that is not installed here
        return "", ()
    kind, found = mine["data.name"], []
    for name, theirs in _shipped().items():
        if theirs["data.name"] == kind or not {theirs["data.name"], kind} & set(NAMED):
            found.append((name, tuple(_changes(theirs, mine))))
    return min(found, key=lambda one: len(one[1]), default=("", ()))


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    """Every shipped recipe, read once a process: there are dozens."""
    return {name: _flat(load_recipe(name)[0]) for name in shipped()}


def _changes(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    foreign = {"data.path", "data.root"} | (set() if mine["data.name"] in NAMED else {"data.name"})
    if theirs["method.name"] != mine["method.name"]:
        foreign |= {key for key in theirs if key.startswith("method.") and key not in mine}
    for key in sorted((theirs.keys() | mine.keys()) - foreign):
        if theirs.get(key) != mine.get(key):
            yield key, _told(key, theirs.get(key)), _told(key, mine.get(key))


def _told(key: str, value: Any) -> str:
    """A value without the folders of a machine."""
    if key == "model.weights" and value is not None:
        return Path(value).name
    return "-" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _limits(e: Evaluation | None) -> Iterator[str]:
    if e is None:
        return
    yield f"Intervals say what luck in drawing the {e.part} images may do; another seed, camera or season may do more."
    if e.source is None:
        yield (
            "Every image is taken to be independent; where several show one patient, animal or moment, the intervals "
            "are too narrow."
        )
    elif len(e.right) >= DRAWN_FROM:
        yield "The grey bands of confidence, unlike the intervals, take every image to be independent of the others."
    yield (
        f"Overall, precision and confidence hold at the mix of classes of these {e.part} images; for yours, predict "
        "with --prior."
    )
    yield "A label may be wrong: the report counts every answer that differs from its label as an error."
