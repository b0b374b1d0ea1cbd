"""How is my class? The table of classes, worst first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.report.facts.class_rows import Classes, ClassRow, class_rows, listed_classes
from longtail.report.parts import Images, Part, cent, shown, span
from longtail.report.section import Facts, Section
from longtail.report.text import SHOWN, name_list, percent
from longtail.runs import layout
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.text_table import table_lines

TEMPLATE = """\
{% set c = content %}
<p>Worst first. The order allows for chance where there are few images; the numbers do not. With fewer than ten \
{{ c.part }} images, only counts are given: too few to say.</p>
<div class="tools scripted" hidden>
<label>Search<input type="search" id="find" autocomplete="off" spellcheck="false"></label>
<label>Group<select id="group"><option value="">all</option><option>many</option><option>medium</option><option>\
few</option></select></label>
<label class="check"><input type="checkbox" id="hide">hide too few to say</label>
<button type="button" id="copy">Copy as CSV</button>
</div>
<p class="quiet scripted" role="status" id="sorted" hidden></p>
{% if c.total > c.rows|length %}<noscript><p>The {{ c.rows|length }} weakest classes of {{ c.total }}; all are \
in <code>{{ c.file }}</code>.</p></noscript>{% endif %}
<div class="scroll rows">
<table id="class-table" class="wide folds capped" style="--m:{{ c.macro }}">
<caption>Each class. Bar: recall from 0 to 100 %; line: its 95 % interval; tick: macro{% if c.mean != "-" %}, \
{{ c.mean }}{% endif %}.</caption>
<thead><tr>
{% for key, name, number in c.columns %}<th scope="col" data-sort="{{ key }}"{% if number %} class="n"{% endif \
%}{% if key == "recall" %} aria-sort="ascending"{% endif %}><button type="button">{{ name }}</button></th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in c.rows %}{{ class_row(row, c.part) }}{% endfor %}
</tbody>
</table>
</div>
{% if c.rest %}<details class="rest" id="rest"><summary>{{ "{:,}".format(c.rest) }} more {{ "class" if c.rest \
== 1 else "classes" }}</summary></details>{% endif %}
<template id="class-row">{{ class_row(c.empty, c.part) }}</template>
<p><button type="button" class="more" id="more" hidden>Show {{ c.step }} more</button></p>
<p class="print">{% if c.total > 100 %}The first 100 rows. {% endif %}All classes: {{ c.file }}</p>
<p class="quiet">Precision: when it says this, how often it is right, at this mix of classes; for yours use \
<code>--prior</code>. Rough: 10 to 29 {{ c.part }} images.</p>
"""


IN_HTML = 300  # up to that many classes every row is in the page without script
WITHOUT_SCRIPT = 200  # rows in the page where there are more
STEP = 100  # rows drawn at a time
UNFOLDED = 10  # rows that a narrow screen shows before the rest is asked for
COLUMNS = (
    ("class", "class", False), ("group", "group", False), ("train", "train", True), ("test", "test", True),
    ("right", "right", True), ("recall", "recall", False), ("precision", "precision", True),
    ("taken", "mistaken for", False), ("confidence", "confidence", True),
)  # fmt: skip


def compute(facts: Facts) -> Classes | None:
    e, table = facts.evaluation, facts.run.table("per_class")
    if e is not None:
        return class_rows(e)
    return None if table is None else listed_classes(table)


def terminal(found: Classes, facts: Facts) -> Mapping[str, Sequence[str]]:
    """The recalls below the mean, those of too few images without a percentage; what is never predicted."""
    mean = found.macro or 0.0
    rows = [
        (
            row.name, row.group, str(row.train_images), f"{row.correct} of {row.test_images}",
            "too few to say" if row.test_images < ENOUGH else percent(row.recall), row.mistaken_for or "",
        )
        for row in found.rows
        if row.recall is not None and row.recall < mean
    ]  # fmt: skip
    header = ("class", "group", "train images", "right", "recall %", "mostly taken for")
    return {
        "Weakest classes": table_lines(header, rows[:SHOWN], left=(0, 1, 5)) if rows else (),
        "Never predicted": name_list(found.never_predicted),
    }


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


def page(found: Classes, facts: Facts, images: Images) -> Part | None:
    """The table of classes; none where single images are not known, so that nothing is said of luck."""
    if facts.evaluation is None:
        return None
    total = len(found.rows)
    kept = found.rows if total <= IN_HTML else found.rows[:WITHOUT_SCRIPT]
    content = {
        "rows": [line(row) for row in kept],
        "empty": EMPTY,
        "columns": COLUMNS,
        "total": total,
        "rest": max(0, total - UNFOLDED),
        "step": STEP,
        "macro": f"{found.macro:.3f}" if found.macro is not None else "-1",
        "mean": cent(found.macro),
        "part": facts.run.part,
        "file": layout.evaluation(str(facts.run.split), layout.PER_CLASS),
    }
    return Part(content, {"classes": script_data(found)})


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


def script_data(found: Classes) -> Mapping[str, Any]:
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


SECTION = Section(
    rank=30,
    short="Classes",
    heading="How is my class?",
    compute=compute,
    terminal=terminal,
    page=page,
    template=TEMPLATE,
)
