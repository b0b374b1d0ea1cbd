"""Everything needed to repeat the run, and the words of the report."""

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from longtail.recipe import load_recipe, shipped
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.run_sections import Repeat
from longtail.report.run import Run

NAMED = ("digits", "cifar10", "cifar100")  # data with a recipe of their own
OWN = "icl-images"
MACHINE = (
    ("device", "device"), ("device_name", "name"), ("cpu_count", "processor cores"), ("threads", "threads"),
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
    environment = run.json("env.json") or {}
    name, changes = _nearest(run.recipe)
    seconds = [record["seconds"] for record in run.log if "seconds" in record]
    return Repeat(
        command=f"longtail train {shlex.quote(run.path.resolve().name + '/recipe.toml')}",
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


def _flat(sections: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _nearest(recipe: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The shipped recipe on the same kind of data with the fewest changes; where the images lie is none."""
    mine = _flat(recipe)
    kind, best = mine["data.name"], None
    for name in shipped():
        theirs = _flat(tomllib.loads(load_recipe(name)[0].to_toml()))
        if (theirs["data.name"] == kind) if kind in NAMED else (name == OWN):
            changes = tuple(_changes(theirs, mine))
            if best is None or len(changes) < len(best[1]):
                best = name, changes
    return best or ("", ())


def _changes(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    same_method = theirs["method.name"] == mine["method.name"]
    for key in sorted(theirs.keys() | mine.keys()):
        foreign = key.startswith("method.") and not same_method and key not in mine
        if theirs.get(key) != mine.get(key) and key != "data.path" and not foreign:
            yield key, _told(theirs.get(key)), _told(mine.get(key))


def _told(value: Any) -> str:
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
    yield (
        f"Overall, precision and confidence hold at the mix of classes of these {e.part} images; for yours, predict "
        "with --prior."
    )
    yield "A label may be wrong: the report counts every answer that differs from its label as an error."
