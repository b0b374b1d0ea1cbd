"""What do the experts add? Each alone, all together, and where they disagree."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from longtail.metrics.pairs import macro_weights, paired_gain
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.experts import Agreement, ExpertRow, Experts, Gain
from longtail.report.facts.words import hits, whole
from longtail.report.parts import Images, Part, Picture, Table, cent
from longtail.report.section import Facts, Section
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.runs.run import SCORES, Run

TEMPLATE = """\
{% set e = content %}
{{ sentences(e.sentences) }}
{% if e.table %}
{% call fold("Scores and agreement") %}
<div class="beside">
{{ table(e.table) }}
{% for p in e.pictures %}{{ picture(p) }}{% endfor %}
{{ table(e.agreement) }}
</div>
{% endcall %}
{% endif %}
{% if e.table %}<h3>Where each expert looks</h3>{% endif %}
{% if e.maps.cards %}
<p>{{ e.maps.rule }}</p>
{% call fold("Heat maps") %}
<ul class="cards maps">
{% for card in e.maps.cards %}<li><h4><bdi>{{ card.true }}</bdi></h4><p>{{ card.text }}</p>{{ \
thumbs(card.wrong) }}</li>{% endfor %}
</ul>
{% endcall %}
{% else %}
<p>{{ e.maps.missing }}</p>
{% if e.maps.command %}<pre><code>{{ e.maps.command }}</code></pre>{% endif %}
{% endif %}
"""


TOGETHER = "all experts"


def compute(facts: Facts) -> Experts:
    e = facts.evaluation
    return Experts() if e is None or len(e.votes) < 2 else _experts(facts.run, e)


def _experts(run: Run, e: Evaluation) -> Experts:
    metrics = run.metrics or {}
    scores = [*metrics["experts"], metrics]
    names = [*(f"expert {m}" for m in range(1, len(e.votes) + 1)), TOGETHER]
    rows = tuple(
        ExpertRow(name, *(row[key] for key in SCORES)) for name, row in zip(names, scores, strict=True)
    )
    gains, agreement = tuple(_gains(e)), _agreement(e)
    return Experts(rows, gains, agreement, (*_worth(e, gains), *_agreed(e, agreement)))


def _gains(e: Evaluation) -> Iterator[Gain]:
    """Of all together over the expert with the best macro, chosen on the same images: gains look small, not large."""
    hits = e.votes == e.target
    everywhere = macro_weights(e.target, e.tested)
    best = int((hits * everywhere).sum(1).argmax())
    weights = [
        np.full(len(e.target), 1 / len(e.target)),
        *(macro_weights(e.target, w) for w in e.of_groups()),
    ]
    several = sum(bool(weight.any()) for weight in weights[2:]) > 1
    for key, weight in zip(SCORES, weights, strict=True):
        if weight.any() and (several or key not in GROUPS):
            value, low, high = paired_gain(e.right, hits[best], weight, e.source)
            yield Gain(key, f"expert {best + 1}", value, (low, high), not low <= 0 <= high)


def _agreement(e: Evaluation) -> tuple[Agreement, ...]:
    most = (e.votes[:, None] == e.votes[None]).sum(0).max(0)
    united = most == len(e.votes)
    majority = ~united & (2 * most > len(e.votes))
    parts: dict[str, Bool[ndarray, " n"]] = {
        "all agree": united,
        "majority": majority,
        "split": ~united & ~majority,
    }
    return tuple(
        Agreement(
            name, int(mine.sum()), float(mine.mean()), float(e.right[mine].mean()) if mine.any() else None
        )
        for name, mine in parts.items()
    )


def _worth(e: Evaluation, gains: tuple[Gain, ...]) -> Iterator[str]:
    if len(e.right) < ENOUGH:
        yield f"Too few {e.part} images to compare the experts."
        return
    macro = next(gain for gain in gains if gain.score == "macro")
    for gain, where in (
        (macro, "in macro"),
        *((g, "in macro of rare classes") for g in gains if g.score == "few"),
    ):
        low, high = (f"{100 * end:+.1f}" for end in gain.interval)
        text = f"{abs(100 * gain.value):.1f} points {'better' if gain.value > 0 else 'worse'} {where} than {gain.best}"
        if gain.measurable:
            yield f"Together {text} (95 %: {low} to {high})."
        elif gain is macro:
            chance = f"macro {100 * gain.value:+.1f}, 95 %: {low} to {high}"
            yield f"Together not measurably better than {gain.best} ({chance})."


def _agreed(e: Evaluation, agreement: tuple[Agreement, ...]) -> Iterator[str]:
    united, _, split = agreement
    if united.images >= ENOUGH and united.accuracy is not None:
        text = f"All agree on {whole(united.share)} % of images and are right on {_hits(united)}"
        apart = [part for part in agreement[1:] if part.images >= ENOUGH]
        if apart:
            text += f"; where they do not, on {_hits(*apart)}"
        yield text + "."
    if split.images >= ENOUGH:
        yield f"They are split on {whole(split.share)} %: have a person look at those."


def _hits(*parts: Agreement) -> str:
    right = sum(part.images * (part.accuracy or 0) for part in parts)
    return hits(round(right), sum(part.images for part in parts))


def page(found: Experts, facts: Facts, images: Images) -> Part:
    """What they add, where there are several, and where each looks."""
    from longtail.report.pictures.heat_maps import heat_maps  # Pillow: only for the page

    maps = heat_maps(facts.run, images.which)
    if found.rows:
        return Part({**_content(found, facts), "maps": maps})
    nothing = {"sentences": (), "table": None, "pictures": (), "agreement": None}
    return Part({**nothing, "maps": maps}, short="Heat maps", heading="Where does it look?")


def _content(found: Experts, facts: Facts) -> Mapping[str, Any]:
    from longtail.report.pictures import curve_figures  # matplotlib: only for the page
    from longtail.report.pictures.svg import to_svg

    images = {row.name: row.images for row in facts.verdict.rows}
    there = [name for name in SCORES if any(getattr(row, name) is not None for row in found.rows)]
    if len(groups := [name for name in there if name in GROUPS]) == 1:  # it says the same as macro
        there.remove(groups[0])
    rows = [(row.name, *(cent(getattr(row, name), images[name]) for name in there)) for row in found.rows]
    pictures = []
    if found.gains:
        title = f"All together against {found.gains[0].best}, the best alone"
        caption = "Points gained on the same images, with 95 % intervals; right of the line is better."
        numbers = Table(
            "Gain of all together in points", ("score", "gain", "95 % interval", "measurable"),
            [
                (row.score, _points(row.value), f"{_points(row.interval[0])} to {_points(row.interval[1])}",
                 "yes" if row.measurable else "no")
                for row in found.gains
            ],
            of_groups=True,
        )  # fmt: skip
        svg = to_svg(curve_figures.gains(found.gains), "gains", title, caption)
        pictures.append(Picture(title, svg, caption, numbers))
    every = facts.head.num_images
    agreement = [
        (row.name, f"{row.images:,}", cent(row.share, every), cent(row.accuracy, row.images))
        for row in found.agreement
    ]
    return {
        "sentences": found.sentences,
        "table": Table("Accuracy of each expert, and of all together", ("expert", *there), rows),
        "pictures": pictures,
        "agreement": Table("When they agree", ("experts", "images", "share", "right"), agreement),
    }


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


SECTION = Section(
    rank=60,
    short="Experts",
    heading="What do the experts add?",
    compute=compute,
    page=page,
    template=TEMPLATE,
)
