"""The later sections: confidence, experts, training, data, what next, how to repeat the run."""

from collections.abc import Mapping, Sequence
from typing import Any

from longtail.data.dataset import counted
from longtail.data.repairing import REPAIRED
from longtail.report.facts import (
    Confidence,
    Data,
    Experts,
    Facts,
    Reliability,
    Repeat,
    Series,
    Step,
    Training,
)
from longtail.report.page import class_figures, curve_figures
from longtail.report.page.nearest_recipe import Nearest
from longtail.report.page.parts import Picture, Table, cent, shown, shown_path, span
from longtail.report.page.svg import to_svg
from longtail.report.text import FIRST, epoch_range
from longtail.runs.groups import GROUPS
from longtail.runs.run import SCORES

SHOWN = 20  # rows of a list; the run folder holds the rest


def confidence(found: Confidence) -> Mapping[str, Any]:
    """Can I trust its confidence?"""
    pictures = []
    stages = [("before", found.before, "As the model says it")]
    if found.after is not None:
        stages.append(("after", found.after, f"Divided by the temperature {found.temperature:.2f}"))
    for name, part, heading in stages:
        if len(part.bins) > 1:
            title = heading if found.after is not None else "How often is it right when it is this sure?"
            caption = "Each mark: as many images. Grey: where it would lie if the model were as sure as it is right."
            svg = to_svg(curve_figures.reliability(part), f"reliability-{name}", title, caption)
            pictures.append(Picture(title, svg, caption, _reliability(part)))
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
    return {"sentences": found.sentences, "pictures": pictures, "table": _answered(found)}


def _reliability(found: Reliability) -> Table:
    rows = [
        (cent(part.confidence), cent(part.accuracy), span(part.band), f"{part.images:,}")
        for part in found.bins
    ]
    return Table("Confidence and accuracy", ("confidence", "right", "expected", "images"), rows)


def _answered(found: Confidence) -> Table | None:
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


def experts(found: Experts, facts: Facts) -> Mapping[str, Any]:
    """What do the experts add?"""
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


def training(found: Training) -> Mapping[str, Any]:
    """Did training go well?"""
    pictures = []
    drawn = [series for series in found.series if len(series.values) > 1]  # a single point is no curve
    scores = [series for series in drawn if series.kind == "score"]
    if scores:
        title = f"Macro on {found.scores_on} images" + ", and within each group" * (len(scores) > 1)
        svg = to_svg(curve_figures.score_curves(scores, found), "scores", title, "Per cent over epochs.")
        pictures.append(Picture(title, svg, "", _series(scores)))
    others = [series for series in drawn if series.kind != "score"]
    for number, series in enumerate(others):
        name = series.name.replace("_", " ")
        title = {"loss": f"Loss: {name}", "rate": "Learning rate"}.get(series.kind, name)
        svg = to_svg(curve_figures.curve(series, found), f"curve-{number}", title, "Value over epochs.")
        pictures.append(Picture(title, svg, "", _series([series])))
    stages = [f"{name.capitalize()} stage: {epoch_range(first, last)}." for name, first, last in found.stages]
    single = [series for series in found.series if len(series.values) == 1]
    return {
        "sentences": stages,
        "pictures": pictures,
        "single": _single(single),
        "empty": not (pictures or single),
        "edges": bool(found.edges) and bool(pictures),
    }


def _single(found: Sequence[Series]) -> Table | None:
    """What has one value alone, which is not drawn."""
    rows = []
    for series in found:
        name = series.name.replace("_", " ")
        value = cent(series.values[0]) if series.kind == "score" else _number(series.values[0])
        rows.append((f"loss: {name}" if series.kind == "loss" else name, str(series.epochs[0]), value))
    return Table("Known of one epoch alone", ("what", "epoch", "value"), rows) if rows else None


def _series(found: Sequence[Any]) -> Table:
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


def data(found: Data, facts: Facts) -> Mapping[str, Any]:
    """What is in the data?"""
    pictures = []
    if found.counts:
        edges = facts.class_size.edges if facts.class_size is not None else ()
        title = "Training images of each class"
        caption = f"{len(found.counts):,} classes, from {found.counts[0].train_images:,} images down to "
        caption += f"{found.counts[-1].train_images:,}."
        svg = to_svg(class_figures.counts_by_rank(found.counts, edges), "counts", title, caption)
        pictures.append(Picture(title, svg, caption))
    lists = (
        ("Could not be read", "image", _with_reasons(found.unreadable)),
        (f"{REPAIRED[0].upper()}{REPAIRED[1:]}", "image", _with_reasons(found.repaired)),
        ("Looks odd", "image", _with_reasons(found.suspicious)),
        (
            "Unknown to the model, left out",
            "class",
            [f"{name} ({n})" for name, n in found.unknown_classes],
        ),
        ("Not tested", "class", found.not_tested),
        ("A single image", "class", found.single_image),
        ("Too few images to be tested", "class", found.too_small),
    )
    sentences = [_list(noun, text, names) for text, noun, names in lists if names]
    sentences += [f"{shown(one[:1].upper() + one[1:])}." for one in found.remarks]
    if found.left_out:
        items = "; ".join(shown(one.item()) for one in found.left_out)
        sentences.append(f"{'Left out' if found.files is None else found.files.line()}: {items}.")
    tables = [table for table in (_duplicates(found), _leaks(found)) if table is not None]
    if found.audited and not sentences and not tables:
        sentences.append("Nothing odd was found.")
    return {
        "sentences": sentences,
        "pictures": pictures,
        "tables": tables,
        "audited": found.audited,
        "checked_near": found.checked_near,
        "check": found.check,
    }


def next_steps(steps: Sequence[Step]) -> Mapping[str, Any]:
    """The first steps, and the rest to be unfolded."""
    return {"steps": steps[:FIRST], "rest": steps[FIRST:]}


def _list(noun: str, text: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    listed = ", ".join(shown(name) for name in names[:SHOWN])
    return f"{text}: {counted(len(names), noun)}: {listed}{more}."


def _with_reasons(entries: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{shown_path(path)} ({reason})" for path, reason in entries]


def _duplicates(found: Data) -> Table | None:
    if not found.duplicates:
        return None
    rows = [
        (", ".join(map(shown_path, one.paths[:4])), {"exact": "the same", "near": "nearly the same"}[one.kind],
         ", ".join(one.splits), ", ".join(one.classes),
         "; ".join(" = ".join(map(shown_path, pair)) for pair in dict.fromkeys((one.leak, one.conflict)) if pair))
        for one in found.duplicates[:SHOWN]
    ]  # fmt: skip
    total = len(found.duplicates)
    some = f"; the first {SHOWN} of {total:,}" if total > SHOWN else ""
    caption = f"Images that occur more than once{some}"
    return Table(caption, ("images", "alike", "parts", "classes", "shown by"), rows, (0, 1, 2, 3, 4))


def _leaks(found: Data) -> Table | None:
    if not found.leaking_groups:
        return None
    rows = [(one.group, ", ".join(one.splits), f"{one.images:,}") for one in found.leaking_groups[:SHOWN]]
    total = len(found.leaking_groups)
    some = f"; the first {SHOWN} of {total:,}" if total > SHOWN else ""
    return Table(f"Groups in more than one part{some}", ("group", "parts", "images"), rows, (0, 1))


def repeat(found: Repeat, nearest: Nearest) -> Mapping[str, Any]:
    """Everything needed to repeat the run."""
    facts = [("Seed", str(found.seed))]
    if found.index_hash:
        facts.append(("Hash of the training images", found.index_hash))
    if found.seconds is not None:
        facts.append(("Duration", _duration(found.seconds)))
    facts += [(what.replace("_", " ").capitalize(), value) for what, value in found.machine]
    facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in found.versions)))
    changes = None
    if nearest.changes:
        caption = f"What differs from the shipped recipe {nearest.shipped}"
        changes = Table(caption, ("key", "shipped", "here"), nearest.changes, (0, 1, 2))
    return {
        "command": found.command,
        "changes": changes,
        "shipped": nearest.shipped,
        "facts": facts,
        "limits": found.limits,
        "glossary": found.glossary,
    }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
