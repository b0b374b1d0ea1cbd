"""What next? First what makes the scores untrue, then what would raise them, then what makes answers trustworthy."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from longtail.data.no_validation import SUGGESTED
from longtail.report.accuracy_steps import Step, accuracy_steps, lower_rate
from longtail.report.facts.audit import Audit
from longtail.report.facts.class_rows import Classes
from longtail.report.facts.confidence import Confidence
from longtail.report.facts.confusions import Confusions
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.experts import Experts
from longtail.report.facts.words import classes, count, listed, of_hundred, whole
from longtail.report.parts import Images, Part
from longtail.report.places import from_here, images_of, recipe_of
from longtail.report.section import Facts, Section
from longtail.runs import layout
from longtail.runs.groups import ENOUGH
from longtail.runs.run import SPLITS, Run

TEMPLATE = """\
{% macro one(step) %}<li>{{ step.text }}{% if step.place %} <a href="#{{ step.place }}">The surest are listed \
above.</a>{% endif %}{% if step.command %}<pre><code>{{ step.command }}</code></pre>{% endif %}</li>{% endmacro %}
{% set n = content %}
<p class="quiet">What makes scores untrue comes first, then what would raise macro, most points at stake first; \
what larger images, the whole picture and more time would bring is assumed. Run the commands in the folder in which \
this report was made.</p>
<ol>
{% for step in n.steps %}{{ one(step) }}{% endfor %}
</ol>
{% if n.rest %}<details><summary>{{ n.rest|length }} more</summary>
<ol start="{{ n.steps|length + 1 }}">
{% for step in n.rest %}{{ one(step) }}{% endfor %}
</ol></details>{% endif %}
"""


WORTH = 0.9  # share of the errors that a threshold may leave
YOURS = "labelled images that it was not trained on, in place of FOLDER"
FIRST = 5  # steps that are not folded


def compute(facts: Facts) -> tuple[Step, ...]:
    e = facts.evaluation
    if e is None:
        return unseen_steps(facts.run, facts.audit)
    found = (facts.classes, facts.confusions, facts.confidence, facts.experts, facts.audit)
    return next_steps(facts.run, e, *found)


def terminal(found: tuple[Step, ...], facts: Facts) -> Mapping[str, Sequence[str]]:
    return {"What next": list(_lines(found))}


def _lines(steps: Sequence[Step]) -> Iterator[str]:
    """The first steps with their commands, and how many more the page has."""
    for number, step in enumerate(steps[:FIRST], 1):
        yield f"{number}. {step.text}"
        if step.command:
            yield f"   {step.command}"
    if len(steps) > FIRST:
        yield f"{len(steps) - FIRST} more in {layout.REPORT}"


def page(found: tuple[Step, ...], facts: Facts, images: Images) -> Part | None:
    """The first steps, and the rest to be unfolded."""
    return Part({"steps": found[:FIRST], "rest": found[FIRST:]}) if found else None


def unseen_steps(run: Run, found: Audit) -> tuple[Step, ...]:
    """Where nothing is evaluated: finish, evaluate, repair the data."""
    return (*lower_rate(run), *_finish(run), *_evaluate(run), *_repair(run, found))


def next_steps(
    run: Run,
    e: Evaluation,
    ranked: Classes,
    pairs: Confusions,
    sure: Confidence,
    every: Experts,
    found: Audit,
) -> tuple[Step, ...]:
    """Everything worth doing, what matters most first."""
    first = (
        *lower_rate(run),
        *_finish(run),
        *_repair(run, found),
        *accuracy_steps(run, e, ranked, pairs, every),
    )
    last = (*_validate(run, e), *_test(run, ranked), *_calibrate(run, e, sure), *_threshold(run, e, sure))
    return first + last


def _finish(run: Run) -> Iterator[Step]:
    if not run.finished:
        left = int(run.status["epochs"]) - int(run.status["epoch"])
        text = f"Finish the run: {count(left, 'epoch')} to go."
        yield Step(text, f"longtail train {from_here(run.path)} --resume")


def _evaluate(run: Run) -> Iterator[Step]:
    """Where no single image's answer is in the folder; scores of the log say that the run has a split of its own."""
    if run.finished and run.metrics:
        yield Step("Evaluate it: 0 images are recorded.", f"longtail evaluate {from_here(run.path)}")
    elif run.finished:
        text = f"Evaluate it: 0 images are recorded. Give {YOURS}."
        yield Step(text, f"longtail evaluate {from_here(run.path)} --data FOLDER")


def _repair(run: Run, found: Audit) -> Iterator[Step]:
    images = images_of(run)
    straddling = sum(len(set(entry.splits)) > 1 for entry in found.duplicates) + len(found.leaking_groups)
    if straddling:
        text = f"Split the data again: {count(straddling, 'set')} of related images straddle the splits."
        yield Step(text, _split_again(run, images))
    if found.unreadable:
        text = f"Repair or remove {count(len(found.unreadable), 'unreadable file')}."
        yield Step(text, f"longtail data check {images} --all" if images else "")


def _split_again(run: Run, images: str | None) -> str:
    if images is None or run.recipe["data"]["name"] in ("parquet", "packed"):
        return ""
    number = 1
    while Path(name := f"splits{f'-{number}' * (number > 1)}.csv").exists():
        number += 1
    return f"longtail data split {images} -o {name} --again"


def _validate(run: Run, e: Evaluation) -> Iterator[Step]:
    """Where nothing but the test images could settle a choice."""
    data = run.recipe["data"]
    if (
        run.split != "test"
        or data.get("validation")
        or images_of(run) is None
        or any("val" in r for r in run.log)
    ):
        return
    text = (
        f"Hold out validation images before you compare settings: there are none, and choosing on these "
        f"{count(len(e.right), 'test image')} makes the scores too good."
    )
    yield Step(text, f"longtail train {recipe_of(run)} --set data.validation={SUGGESTED}")


def _test(run: Run, ranked: Classes) -> Iterator[Step]:
    """Where classes have too few images to evaluate on; the command evaluates again once there are more."""
    thin = (*ranked.not_tested, *ranked.too_few)
    if not thin:
        return
    have = f"{classes(len(thin))} {'has' if len(thin) == 1 else 'have'} fewer than {ENOUGH}"
    few, place = f"{have} ({listed(thin, 3)})", from_here(run.path)
    share = float(run.recipe["data"].get("validation", 0))
    if run.split == "val" and share > 0:
        needed = f"{whole(share)} % of each are, so {ENOUGH} need about {math.ceil(ENOUGH / share):,} labelled images"
        held = f"{have} held out to evaluate on ({listed(thin, 3)})"
        yield Step(f"Label more images: {held}; {needed}.", "")
    elif run.split in SPLITS:
        text = f"Label more {run.part} images: {few}. Add them to the split, and evaluate again."
        yield Step(text, f"longtail evaluate {place}")
    else:
        text = f"Label more test images: {few}. Give {YOURS}."
        yield Step(text, f"longtail evaluate {place} --data FOLDER")


def _calibrate(run: Run, e: Evaluation, sure: Confidence) -> Iterator[Step]:
    """Where it is overconfident by more than luck explains and none is fitted: what was held out settled none."""
    if sure.temperature is not None or len(e.right) < ENOUGH or sure.before.confidence <= sure.upper:
        return
    text = (
        f"Fit a temperature: on {count(len(e.right), 'image')} the mean confidence is "
        f"{whole(sure.before.confidence)} % and the accuracy {whole(sure.before.accuracy)} %. Give {YOURS}."
    )
    yield Step(text, f"longtail calibrate {from_here(run.path)} --data FOLDER")


def _threshold(run: Run, e: Evaluation, sure: Confidence) -> Iterator[Step]:
    """The first threshold that halves the errors, else the highest, where it takes away a tenth of them."""
    every = float((~e.right).mean())
    rows = [row for row in sure.answered if row.error is not None]
    row = next((row for row in rows if (row.error or 0) <= every / 2), rows[-1])
    threshold = float(np.floor(100 * row.threshold) / 100)
    answered = e.confidence >= threshold
    error = float((~e.right[answered]).mean())
    if answered.all() or len(e.right) < ENOUGH or error > WORTH * every:
        return
    text = (
        f"Leave the {whole(1 - float(answered.mean()))} % of images below {100 * threshold:.0f} % to a person: errors "
        f"fall from {of_hundred(every)} to {of_hundred(error)} of 100. Give your photographs in place of PHOTOS."
    )
    place = from_here(run.path)
    yield Step(text, f"longtail predict {place} PHOTOS -o predictions.csv --abstain-below {threshold:.2f}")


SECTION = Section(
    rank=90,
    short="Next",
    heading="What next?",
    compute=compute,
    terminal=terminal,
    page=page,
    template=TEMPLATE,
)
