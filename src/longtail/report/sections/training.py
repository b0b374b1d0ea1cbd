"""Did training go well? The log as curves, unsmoothed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from longtail.report.facts.training import Series, Training
from longtail.report.parts import Images, Part, Picture, Table, cent
from longtail.report.section import Facts, Section
from longtail.report.text import epoch_range
from longtail.runs.groups import GROUPS
from longtail.runs.run import PART_NAMES, SPLITS

TEMPLATE = """\
{% set t = content %}
{% if t.empty %}<p>No epoch is finished yet.</p>{% endif %}
{{ sentences(t.sentences) }}
{% if t.edges %}<p class="quiet">Nothing is smoothed. Dashed: where a stage ends.</p>{% endif %}
{% if t.pictures or t.single %}{% call fold("Curves") %}
{{ pictures(t.pictures) }}
{% if t.single %}{{ table(t.single) }}{% endif %}
{% endcall %}{% endif %}
"""


SHOWN = 20  # epochs of a table of numbers


def compute(facts: Facts) -> Training:
    """The section, from log.jsonl."""
    log = facts.run.log
    terms = dict.fromkeys(name for record in log for name in record["loss"])
    part = next((name for name in SPLITS if any(name in record for record in log)), None)
    curves = [
        _curve(name, "loss", [(record["epoch"], record["loss"].get(name)) for record in log])
        for name in terms
    ]
    if part is not None:
        scored = [record for record in log if part in record]
        there = [key for key in GROUPS if any(record[part].get(key) is not None for record in scored)]
        curves += [
            _curve(key, "score", [(record["epoch"], record[part].get(key)) for record in scored])
            for key in ("macro", *(there if len(there) > 1 else ()))
        ]
    curves.append(_curve("learning rate", "rate", [(record["epoch"], record.get("lr")) for record in log]))
    return Training(
        series=tuple(curve for curve in curves if curve.epochs),
        scores_on=PART_NAMES.get(str(part), ""),
        stages=tuple(
            (str(stage), 1 + min(epochs), 1 + max(epochs))
            for stage in dict.fromkeys(record["stage"] for record in log)
            if (epochs := [record["epoch"] for record in log if record["stage"] == stage])
        ),
        edges=stage_edges(log),
        epochs=int(facts.run.status["epochs"]),
    )


def stage_edges(log: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """Number of finished epochs at which one stage gave way to the next."""
    return tuple(int(after["epoch"]) for before, after in pairwise(log) if before["stage"] != after["stage"])


def _curve(name: str, kind: str, points: list[tuple[int, float | None]]) -> Series:
    known = [(epoch + 1, float(value)) for epoch, value in points if value is not None]
    return Series(name, kind, tuple(epoch for epoch, _ in known), tuple(value for _, value in known))


def page(found: Training, facts: Facts, images: Images) -> Part:
    """A figure for each curve; what has one value alone as a table."""
    from longtail.report.pictures import curve_figures  # matplotlib: only for the page
    from longtail.report.pictures.svg import to_svg

    pictures = []
    drawn = [series for series in found.series if len(series.values) > 1]  # a single point is no curve
    scores = [series for series in drawn if series.kind == "score"]
    if scores:
        title = f"Macro on {found.scores_on} images" + ", and within each group" * (len(scores) > 1)
        svg = to_svg(curve_figures.score_curves(scores, found), "scores", title, "Per cent over epochs.")
        pictures.append(Picture(title, svg, "", _numbers(scores)))
    others = [series for series in drawn if series.kind != "score"]
    for number, series in enumerate(others):
        name = series.name.replace("_", " ")
        title = {"loss": f"Loss: {name}", "rate": "Learning rate"}.get(series.kind, name)
        svg = to_svg(curve_figures.curve(series, found), f"curve-{number}", title, "Value over epochs.")
        pictures.append(Picture(title, svg, "", _numbers([series])))
    stages = [f"{name.capitalize()} stage: {epoch_range(first, last)}." for name, first, last in found.stages]
    single = [series for series in found.series if len(series.values) == 1]
    content = {
        "sentences": stages,
        "pictures": pictures,
        "single": _single(single),
        "empty": not (pictures or single),
        "edges": bool(found.edges) and bool(pictures),
    }
    return Part(content)


def _single(found: Sequence[Series]) -> Table | None:
    """What has one value alone, which is not drawn."""
    rows = []
    for series in found:
        name = series.name.replace("_", " ")
        value = cent(series.values[0]) if series.kind == "score" else _number(series.values[0])
        rows.append((f"loss: {name}" if series.kind == "loss" else name, str(series.epochs[0]), value))
    return Table("Known of one epoch alone", ("what", "epoch", "value"), rows) if rows else None


def _numbers(found: Sequence[Any]) -> Table:
    """The first, the last and some epochs between."""
    epochs = sorted({epoch for series in found for epoch in series.epochs})
    step = -(-len(epochs) // SHOWN)
    kept = sorted({*epochs[::step], epochs[-1]}) if epochs else []
    values = [dict(zip(series.epochs, series.values, strict=True)) for series in found]
    formats = [cent if series.kind == "score" else _number for series in found]
    rows = [
        (str(epoch), *(tell(value.get(epoch)) for tell, value in zip(formats, values, strict=True)))
        for epoch in kept
    ]
    return Table("Over epochs", ("epoch", *(series.name.replace("_", " ") for series in found)), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


SECTION = Section(
    rank=70,
    short="Training",
    heading="Did training go well?",
    compute=compute,
    page=page,
    template=TEMPLATE,
)
