"""What is needed to repeat the run, and the words of the report."""

from collections.abc import Iterator
from dataclasses import dataclass

from longtail.report.facts.evaluation import Evaluation
from longtail.report.parts import Images, Part, Table
from longtail.report.places import recipe_of
from longtail.report.section import Facts, Section
from longtail.report.sections.confidence import DRAWN_FROM
from longtail.runs import layout
from longtail.runs.schema import plain

TEMPLATE = """\
{% set r = content %}
<pre><code>{{ r.command }}</code></pre>
{% call fold("Settings, limits and words") %}
{% if r.changes %}{{ table(r.changes) }}{% elif r.shipped %}<p>Nothing differs from the shipped recipe {{ \
r.shipped }}.</p>{% endif %}
<dl class="facts">{% for term, text in r.facts %}<div><dt>{{ term }}</dt><dd>{{ text }}</dd></div>{% endfor %}</dl>
{% if r.limits %}<h3>What this report cannot tell</h3>
{{ sentences(r.limits) }}{% endif %}
{% if r.glossary %}<h3>Words</h3>
<dl class="words">{% for term, text in r.glossary %}<dt>{{ term }}</dt><dd>{{ text }}</dd>{% endfor %}</dl>{% \
endif %}
{% endcall %}
"""


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


@dataclass(frozen=True, slots=True)
class Repeat:
    """What is needed to repeat the run; against which shipped recipe, see `page.nearest_recipe`.

    Attributes:
        command: what trains it again, seen from the folder in which the report is made.
        seed: of all randomness.
        index_hash: of the training images, "" if unknown.
        versions: (package, version).
        machine: (what, value) of the device; no host and no user.
        seconds: training and evaluation together; None if unknown.
        limits: what the report cannot tell, in sentences.
        glossary: (word, meaning).
    """

    command: str
    seed: int
    index_hash: str
    versions: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str], ...]
    seconds: float | None
    limits: tuple[str, ...]
    glossary: tuple[tuple[str, str], ...]


def compute(facts: Facts) -> Repeat:
    """The section, from recipe.toml, env.json and the log."""
    run = facts.run
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
        limits=tuple(_limits(facts.evaluation)),
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


def page(found: Repeat, facts: Facts, images: Images) -> Part:
    """Everything needed to repeat the run."""
    from longtail.report.nearest_recipe import nearest_recipe  # PyTorch: only for the page

    nearest = nearest_recipe(facts.run)
    said = [("Seed", str(found.seed))]
    if found.index_hash:
        said.append(("Hash of the training images", found.index_hash))
    if found.seconds is not None:
        said.append(("Duration", _duration(found.seconds)))
    said += [(what.replace("_", " ").capitalize(), value) for what, value in found.machine]
    said.append(("Versions", ", ".join(f"{name} {version}" for name, version in found.versions)))
    changes = None
    if nearest.changes:
        caption = f"What differs from the shipped recipe {nearest.shipped}"
        changes = Table(caption, ("key", "shipped", "here"), nearest.changes, (0, 1, 2))
    content = {
        "command": found.command,
        "changes": changes,
        "shipped": nearest.shipped,
        "facts": said,
        "limits": found.limits,
        "glossary": found.glossary,
    }
    return Part(content)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


SECTION = Section(
    rank=110,
    short="Repeat",
    heading="How is it repeated?",
    compute=compute,
    page=page,
    template=TEMPLATE,
)
