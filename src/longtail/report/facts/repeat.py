"""What is needed to repeat the run, and the words of the report."""

from collections.abc import Iterator

from longtail.report.facts.confidence import DRAWN_FROM
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.run_sections import Repeat
from longtail.report.places import recipe_of
from longtail.runs import layout
from longtail.runs.run import Run
from longtail.runs.schema import plain

MACHINE = (
    ("device", "device"), ("device_name", "device name"), ("cpu_count", "CPU cores"), ("threads", "threads"),
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
    stored = run.read(layout.ENVIRONMENT)
    environment = {} if stored is None else plain(stored)
    seconds = [record["seconds"] for record in run.log if "seconds" in record]
    return Repeat(
        command=f"longtail train {recipe_of(run)}",
        seed=int(run.recipe.get("run", {}).get("seed", 0)),
        index_hash=str(environment.get("index_hash", "")),
        versions=tuple((key, str(value)) for key, value in environment.get("versions", {}).items()),
        machine=tuple((word, str(environment[key])) for key, word in MACHINE if key in environment),
        seconds=float(sum(seconds)) if seconds else None,
        limits=tuple(_limits(e)),
        glossary=GLOSSARY,
    )


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
