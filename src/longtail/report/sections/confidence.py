"""Can I trust its confidence? Reliability before and after the temperature, and what refusing to answer buys."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from longtail.metrics.reliability import RiskCoverage, equal_mass_bins, risk_coverage
from longtail.report.facts.confidence import Answered, Confidence, Reliability, ReliabilityBin, RiskLine
from longtail.report.facts.evaluation import Evaluation, Interval
from longtail.report.facts.words import count, hits, of_hundred, whole
from longtail.report.limits import COVERAGES
from longtail.report.parts import Images, Part, Picture, Table, cent, span
from longtail.report.section import Facts, Section
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.runs.run import Run

TEMPLATE = """\
{% set c = content %}
{{ sentences(c.sentences) }}
{% if c.pictures or c.table %}{% call fold("Figures and numbers") %}
<div class="beside">
{% for p in c.pictures %}{{ picture(p) }}{% endfor %}
{% if c.table %}{{ table(c.table) }}{% endif %}
</div>
{% endcall %}{% endif %}
"""


DRAWN_FROM = 200  # images below which there is no diagram
HISTOGRAM = 20
POINTS = 60


def compute(facts: Facts) -> Confidence | None:
    e = facts.evaluation
    return None if e is None else _confidence(facts.run, e)


def _confidence(run: Run, e: Evaluation) -> Confidence:
    """The section, from the evaluated images and metrics.json."""
    metrics = run.metrics or {}
    temperature = metrics.get("temperature")
    before = _reliability(e.uncalibrated, e.right)
    after = None if temperature is None else _reliability(e.confidence, e.right)
    low, high = e.score_intervals[0] or (0.0, 1.0)
    curve = risk_coverage(e.confidence, e.right, e.group[e.target], len(GROUPS))
    answered = tuple(_answered(curve, share) for share in COVERAGES)
    return Confidence(
        temperature=temperature,
        before=before,
        after=after,
        risk=_risk(curve),
        answered=answered,
        upper=high,
        sentences=(*_says(e, before, after, temperature, (low, high)), *_buys(e, answered)),
    )


def _reliability(confidence: Float[ndarray, " n"], right: Bool[ndarray, " n"]) -> Reliability:
    bins: tuple[ReliabilityBin, ...] = ()
    if len(right) >= DRAWN_FROM:
        found = equal_mass_bins(confidence, right)
        columns = (found.images, found.confidence, found.accuracy, found.low, found.high)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        bins = tuple(ReliabilityBin(n, c, a, (low, high)) for n, c, a, low, high in rows)
    steps = np.histogram(confidence, HISTOGRAM, (0, 1))[0]
    return Reliability(bins, float(confidence.mean()), float(right.mean()), tuple(steps.tolist()))


def _risk(curve: RiskCoverage) -> tuple[RiskLine, ...]:
    """A line for all and, where there are several, for each group, from 10 answered images on, at common thresholds."""
    lines, names = [], ("all", *GROUPS)
    several = int((curve.images[1:, -1] > 0).sum()) > 1
    for row, name in enumerate(names if several else names[:1]):
        enough = np.flatnonzero(curve.images[row] >= ENOUGH)
        if len(enough):
            at = enough[np.unique(np.linspace(0, len(enough) - 1, POINTS).astype(int))]
            points = (tuple(curve.coverage[0, at].tolist()), tuple(curve.error[row, at].tolist()))
            lines.append(RiskLine(name, int(curve.images[row, -1]), *points))
    return tuple(lines)


def _answered(curve: RiskCoverage, share: float) -> Answered:
    """The highest threshold that still answers this share of all images, and what it does to each group."""
    at = curve.at(share)
    coverage, error = (
        [None if np.isnan(value) else float(value) for value in column[:, at]]
        for column in (curve.coverage, curve.error)
    )
    return Answered(
        coverage=float(curve.coverage[0, at]),
        threshold=float(curve.threshold[at]),
        error=error[0],
        group_coverage=(coverage[1], coverage[2], coverage[3]),
        group_error=(error[1], error[2], error[3]),
    )


def _says(
    e: Evaluation,
    before: Reliability,
    after: Reliability | None,
    temperature: float | None,
    interval: Interval,
) -> Iterator[str]:
    if len(e.right) < ENOUGH:
        yield f"Too few {e.part} images to say."
        return
    low, high = interval

    def judged(shown: Reliability) -> str:
        if low <= shown.confidence <= high:
            if whole(shown.confidence) == whole(shown.accuracy):
                return "well calibrated"
            return f"with {count(len(e.right), 'image')}, that difference may be chance"
        return "overconfident" if shown.confidence > high else "underconfident"

    yield (
        f"The mean confidence is {whole(before.confidence)} %, and it is right on "
        f"{hits(int(e.right.sum()), len(e.right))}: {judged(before)}."
    )
    if after is not None:
        mean = whole(after.confidence)
        yield f"With the temperature {temperature:.2f} the mean confidence is {mean} %: {judged(after)}."


def _buys(e: Evaluation, answered: tuple[Answered, ...]) -> Iterator[str]:
    whole_, some = answered[0], answered[2]
    if len(e.right) < DRAWN_FROM or whole_.error is None or some.error is None or some.coverage > 0.9:
        return
    yield (
        f"Answering only when at least {whole(some.threshold)} % sure ({whole(some.coverage)} % of images) "
        f"takes errors from {of_hundred(whole_.error)} to {of_hundred(some.error)} of 100."
    )
    common, rare = (some.group_coverage[g] for g in (0, e.rarest or 0))
    if common is not None and rare is not None and rare < common:
        yield f"It then answers {whole(common)} % of common and {whole(rare)} % of rare classes' images."


def page(found: Confidence, facts: Facts, images: Images) -> Part:
    """Diagrams, and a table of what a threshold does."""
    from longtail.report.pictures import curve_figures  # matplotlib: only for the page
    from longtail.report.pictures.svg import to_svg

    pictures = []
    stages = [("before", found.before, "As the model says it")]
    if found.after is not None:
        stages.append(("after", found.after, f"Divided by the temperature {found.temperature:.2f}"))
    for name, part, heading in stages:
        if len(part.bins) > 1:
            title = heading if found.after is not None else "How often is it right when it is this sure?"
            caption = "Each mark: as many images. Grey: where it would lie if the model were as sure as it is right."
            svg = to_svg(curve_figures.reliability(part), f"reliability-{name}", title, caption)
            pictures.append(Picture(title, svg, caption, _bins(part)))
    risk = [line for line in found.risk if len(line.coverage) > 1]
    if risk:
        title = "What does leaving out the least certain bring?"
        several = len(risk) > 1
        caption = ""
        if several:
            caption = "One line a group, all at the same thresholds: abstaining may help one and not another."
        svg = to_svg(
            curve_figures.risk_coverage(risk), "risk", title, caption or "Errors over share answered."
        )
        pictures.append(Picture(title, svg, caption))
    return Part({"sentences": found.sentences, "pictures": pictures, "table": _thresholds(found)})


def _bins(found: Reliability) -> Table:
    rows = [
        (cent(part.confidence), cent(part.accuracy), span(part.band), f"{part.images:,}")
        for part in found.bins
    ]
    return Table("Confidence and accuracy", ("confidence", "right", "expected", "images"), rows)


def _thresholds(found: Confidence) -> Table | None:
    images = {line.name: line.images for line in found.risk}
    if not images:
        return None
    there = [place for place, name in enumerate(GROUPS) if name in images]

    def errors(error: float | None, coverage: float | None, name: str) -> str:
        return cent(error, round((coverage or 0) * images[name]))

    rows = []
    for row in found.answered:
        groups = [
            f"{errors(row.group_error[place], row.group_coverage[place], GROUPS[place])} of "
            f"{cent(row.group_coverage[place])}"
            for place in there
        ]
        rows.append(
            (cent(row.coverage), f"{row.threshold:.2f}", errors(row.error, row.coverage, "all"), *groups)
        )
    header = ("answered", "confidence at least", "errors", *(GROUPS[place] for place in there))
    caption = "Errors among the images that are answered"
    if there:
        caption += "; by group: errors, of the share of the group that is answered"
    return Table(caption, header, rows)


SECTION = Section(
    rank=50,
    short="Confidence",
    heading="Can I trust its confidence?",
    compute=compute,
    page=page,
    template=TEMPLATE,
)
