"""The sections that tell how good the model is: head, verdict, class size and the table of classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longtail.report.facts import Classes, ClassRow, ClassSize, Facts, Head
from longtail.report.limits import ENOUGH
from longtail.report.page import class_figures
from longtail.report.page.parts import Picture, Table, cent, shown, span
from longtail.report.page.svg import to_svg
from longtail.runs import layout
from longtail.runs.groups import GROUPS

IN_HTML = 300  # up to that many classes every row is in the page without script
WITHOUT_SCRIPT = 200  # rows in the page where there are more
STEP = 100  # rows drawn at a time
UNFOLDED = 10  # rows that a narrow screen shows before the rest is asked for
COLUMNS = (
    ("class", "class", False), ("group", "group", False), ("train", "train", True), ("test", "test", True),
    ("right", "right", True), ("recall", "recall", False), ("precision", "precision", True),
    ("taken", "mistaken for", False), ("confidence", "confidence", True),
)  # fmt: skip


def head(found: Head) -> Mapping[str, Any]:
    """What was run."""
    facts = [
        ("Data", f"{found.data}, {found.num_classes:,} classes"),
        ("Method", f"{found.method}, {found.experts} expert" + "s" * (found.experts != 1)),
        ("Model", found.model),
    ]
    if found.training_images is not None:
        facts.append(("Training images", f"{found.training_images:,}"))
    if found.split is not None:
        facts.append((f"{found.part.capitalize()} images", f"{found.num_images:,}"))
    facts.append(("Epoch", f"{found.epoch} of {found.epochs}"))
    lead = "The run is finished." if found.status == "done" else f"The run is not finished ({found.status})."
    return {
        "title": found.title,
        "lead": f"{lead} {found.epoch_rule}",
        "notices": found.notices,
        "facts": facts,
    }


def verdict(facts: Facts) -> Mapping[str, Any]:
    """The answer, and the scores behind it."""
    rows = [
        (
            row.name, cent(row.value, row.images), span(row.interval, row.images),
            f"{row.classes:,}", "-" if row.images is None else f"{row.images:,}",
        )
        for row in facts.verdict.rows
        if row.classes
    ]  # fmt: skip
    header = ("score", "value", "interval", "classes", "images")
    table = Table("Accuracy, with 95 % intervals", header, rows, of_groups=True)
    return {"sentences": facts.verdict.sentences, "table": table if rows else None}


def class_size(found: ClassSize) -> Mapping[str, Any]:
    """Recall against class size."""
    ends = " Dashed: where a group ends." if found.edges else ""
    if found.form == "shares":
        figure = class_figures.shares(found.deciles)
        heading = "How many of a class's images are right, by class size"
        caption = (
            "Each bar holds classes of similar size; with so few test images each, a recall would be luck."
        )
    elif found.form == "bins":
        figure = class_figures.class_size_bins(found)
        heading = "Recall by class size"
        caption = f"The darker, the more classes. Line: median; grey: the middle half of the classes.{ends}"
    else:
        figure = class_figures.class_size(found)
        heading = "Recall by class size"
        whiskers = "One mark is one class."
        if found.form == "named":
            equal = len({point.train_images for point in found.points}) < len(found.points)
            beside = " Classes of equal size stand side by side." if equal else ""
            whiskers = f"Upright lines: 95 % intervals.{beside}"
        band = " Line: running median; grey: the middle half." if found.band else ""
        caption = f"{whiskers}{band}{ends}"
    if len(found.points) == 1:
        return {"pictures": (), "groups": ()}
    svg = to_svg(figure, "size", heading, f"{caption} The numbers are in the table of classes.")
    numbers = _deciles(found) if found.form == "shares" else None
    marks = () if found.form in ("shares", "bins") else _groups(found)
    return {"pictures": [Picture(heading, svg, caption, numbers)], "groups": marks}


def _groups(found: ClassSize) -> tuple[str, ...]:
    return tuple(group for group in GROUPS if any(point.group == group for point in found.points))


def _deciles(found: ClassSize) -> Table:
    rows = [
        (
            f"{part.train_images[0]:,}-{part.train_images[1]:,}", f"{part.classes:,}",
            *(cent(share) for share in (part.none, part.up_to_half, part.over_half, part.all_right)),
        )
        for part in found.deciles
    ]  # fmt: skip
    header = ("training images", "classes", "none right", "up to half", "over half", "all right")
    return Table("Classes by how many of their images are right", header, rows)


@dataclass(frozen=True)
class Line:
    """A row of the table of classes, as text."""

    name: str
    group: str
    train: str
    tested: str
    right: str
    bar: str
    recall: str
    interval: str
    rough: bool
    remark: str
    precision: str
    taken: str
    confidence: str


EMPTY = Line("", "", "", "", "", "--v:0", "", "", True, " ", "", "", "")


def classes(found: Classes, facts: Facts) -> Mapping[str, Any]:
    """The table of classes."""
    total = len(found.rows)
    kept = found.rows if total <= IN_HTML else found.rows[:WITHOUT_SCRIPT]
    part = facts.head.part
    return {
        "rows": [line(row) for row in kept],
        "empty": EMPTY,
        "columns": COLUMNS,
        "total": total,
        "rest": max(0, total - UNFOLDED),
        "step": STEP,
        "macro": f"{found.macro:.3f}" if found.macro is not None else "-1",
        "mean": cent(found.macro),
        "part": part,
        "file": layout.evaluation(str(facts.head.split), layout.PER_CLASS),
    }


def line(row: ClassRow) -> Line:
    """What the table says of a class."""
    enough = row.certainty in ("", "rough") and row.recall is not None and row.interval is not None
    bar = interval = ""
    recall = {"not tested": "not tested", "too few": "too few to say"}.get(row.certainty, cent(row.recall))
    if enough and row.interval is not None:
        low, high = (round(end, 3) for end in row.interval)  # as the script is given them
        bar = f"--v:{row.correct}/{row.test_images};--l:{low:g};--h:{high:g}"
        interval = span((low, high)).removesuffix(" %")
    return Line(
        name=row.name,
        group=row.group,
        train=f"{row.train_images:,}",
        tested=f"{row.test_images:,}",
        right=f"{row.correct:,} of {row.test_images:,}" if row.test_images else "",
        bar=bar,
        recall=recall,
        interval=interval,
        rough=row.certainty == "rough",
        remark=_remark(row),
        precision=_precision(row),
        taken=row.mistaken_for or "",
        confidence=cent(round(row.confidence, 2)) if enough and row.confidence is not None else "",
    )


def _precision(row: ClassRow) -> str:
    """In per cent where there are predictions enough, else as a count."""
    if row.predicted == 0 or row.precision is None:
        return "never said" if row.test_images else ""
    if row.predicted < ENOUGH:
        return f"{row.correct} of {row.predicted}"
    return cent(row.precision)


def _remark(row: ClassRow) -> str:
    standing = f"clearly {row.standing} in its group" if row.standing else ""
    return ", ".join(part for part in (standing, row.note) if part)


def class_data(found: Classes) -> Mapping[str, Any]:
    """The table for the script: lists in the order that `script.js` names."""
    places = {row.name: place for place, row in enumerate(found.rows)}
    rows = [_values(row, places) for row in found.rows]
    return {
        "groups": GROUPS,
        "step": STEP if len(rows) > IN_HTML else IN_HTML,
        "unfolded": UNFOLDED,
        "rows": rows,
    }


def _values(row: ClassRow, places: Mapping[str, int]) -> list[Any]:
    low, high = (round(end, 3) for end in row.interval or (0, 0))
    remark = _remark(row)
    return [
        shown(row.name),
        GROUPS.index(row.group),
        row.train_images,
        row.test_images,
        row.correct,
        low,
        high,
        row.predicted,
        places.get(row.mistaken_for or "", -1),
        None if row.confidence is None else round(row.confidence, 2),
        *([remark] if remark else []),
    ]
