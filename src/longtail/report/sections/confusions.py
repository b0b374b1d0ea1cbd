"""What is taken for what? The errors, with the images themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from longtail.report.facts.confusions import Confusions, Frequent, Matrix, Pair, Prediction, confusions
from longtail.report.parts import Card, Images, Part, Table, Thumb, cent, shown, shown_path
from longtail.report.section import Facts, Section
from longtail.report.text import SHOWN
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.runs.run import Run
from longtail.text_table import table_lines

if TYPE_CHECKING:
    from longtail.report.pictures.thumbnails import Thumbnails


TEMPLATE = """\
{% macro card(pair) %}
<li><h4><bdi>{{ pair.true }}</bdi> taken for <bdi>{{ pair.predicted }}</bdi></h4>
<p>{{ pair.text }}</p>
{{ thumbs(pair.wrong) }}
{% if pair.right %}<p class="quiet">Classified correctly, for comparison</p>{{ thumbs(pair.right) }}{% endif %}
</li>
{% endmacro %}
{% set c = content %}
{% if not c.errors %}<p>No error was made.</p>{% endif %}
{% if c.groups.rows %}
<h3>Between groups</h3>
<div class="scroll"><table class="heat">
<caption>Of the images of each group, the share that is taken for a class of each group</caption>
<thead><tr><th scope="col">labelled</th>{% for name in c.groups.columns %}<th scope="col">as {{ name }}</th>{% \
endfor %}<th scope="col">images</th></tr></thead>
<tbody>{% for row in c.groups.rows %}<tr><th scope="row">{{ group(row.name) }}</th>{% for cell in row.cells \
%}<td class="h{{ cell.level }}">{{ cell.text }}</td>{% endfor %}<td>{{ row.images }}</td></tr>{% endfor %}</tbody>
</table></div>
{% endif %}
{% if c.trouble and (c.pairs or c.listed) %}<p class="quiet">{{ c.trouble }}</p>{% endif %}
{% if c.pairs %}
<h3>Most frequent pairs</h3>
<ul class="cards">
{% for pair in c.pairs[:c.first] %}{{ card(pair) }}{% endfor %}
</ul>
{% if c.pairs|length > c.first %}
<details><summary>{{ c.pairs|length - c.first }} more pairs</summary>
<ul class="cards">
{% for pair in c.pairs[c.first:] %}{{ card(pair) }}{% endfor %}
</ul>
</details>
{% endif %}
{% endif %}
{% if c.listed or c.counts or c.matrix or c.sinks %}
{% call fold("Surest errors, every pair, and where errors go") %}
{% if c.listed %}
<h3 id="surest">{{ c.listed.caption.split(":")[0] }}</h3>
{{ thumbs(c.listed_images) }}
{{ table(c.listed) }}
{% endif %}
<div class="beside">
{% if c.counts %}
<div><h3>Every class against every class</h3>
<div class="scroll"><table class="heat">
<caption>Images of each class (rows) by what they are taken for (columns); framed: right; the darker, the \
larger the share of the class</caption>
<thead><tr><th scope="col">labelled</th>{% for name in c.counts.columns %}<th scope="col"><span{% if \
name|length > 2 %} class="upright"{% endif %} dir="auto">{{ name }}</span></th>{% endfor %}</tr></thead>
<tbody>{% for row in c.counts.rows %}<tr><th scope="row" dir="auto">{{ row.name }}</th>{% for cell in row.cells \
%}<td{% if cell.right %} class="right"{% elif cell.level %} class="h{{ cell.level }}"{% endif %}>{{ cell.text \
}}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div></div>
{% endif %}
{% if c.matrix %}
<figure class="whole">
<h3>Every class against every class</h3>
<div class="matrix" id="matrix" tabindex="0" role="group" aria-label="Errors: the arrow keys go from one to the \
next">{{ c.matrix.svg|safe }}</div>
<p role="status" id="matrix-says" class="screen scripted" hidden>Point at a cell, or go from one to the next \
with the arrow keys.</p>
<figcaption>Errors alone. Rows: the label; columns: what it is taken for; the darker, the more images. Classes \
that are confused stand together.</figcaption>
{{ numbers(c.matrix.numbers) }}
</figure>
{% endif %}
{% if c.sinks %}<div><h3>Where errors go</h3>{{ table(c.sinks) }}</div>{% endif %}
</div>
{% endcall %}
{% endif %}
"""


FIRST = 4  # pairs shown at once; the others open
NUMBERS = 50  # errors listed as numbers beside the matrix


def compute(facts: Facts) -> Confusions | None:
    e, frequent = facts.evaluation, _frequent(facts.run)
    if e is not None:
        return confusions(e, frequent)
    return Confusions(frequent=frequent) if frequent else None


def _frequent(run: Run) -> tuple[Frequent, ...]:
    listed, classes = run.table("confusions"), run.table("per_class")
    if listed is None or classes is None:
        return ()
    images = dict(zip(classes["class"], classes["test_images"], strict=True))
    rows = listed.head(SHOWN)[["class", "predicted", "images"]].itertuples(index=False)
    return tuple((name, label, int(count), int(images[name])) for name, label, count in rows)


def terminal(found: Confusions, facts: Facts) -> Mapping[str, Sequence[str]]:
    rows = [(name, label, f"{count} of {images}") for name, label, count, images in found.frequent]
    lines = table_lines(("class", "taken for", "images"), rows, left=(0, 1)) if rows else ()
    return {"Most frequent confusions": lines}


@dataclass(frozen=True)
class Cell:
    """A coloured cell: its text, its shade from 1 to 5 or 0 for none, and whether it holds the right answers."""

    text: str
    level: int = 0
    right: bool = False


@dataclass(frozen=True)
class Row:
    """A row of coloured cells."""

    name: str
    cells: Sequence[Cell]
    images: str = ""


@dataclass(frozen=True)
class MatrixPart:
    """The matrix of errors as a picture, with the most frequent as numbers."""

    svg: Any
    numbers: Table
    data: Mapping[str, Any] = field(default_factory=dict)


def images_of(found: Confusions, images: str) -> Iterator[str]:
    """Ids of the images that the section shows: none, the wrong ones, or all."""
    if images == "none":
        return
    for pair in found.pairs:
        yield from (one.path for one in pair.wrong)
        if images == "all":
            yield from (one.path for one in (pair.right, pair.label_right) if one is not None)
    yield from (one.path for one in found.listed)


def page(found: Confusions, facts: Facts, images: Images) -> Part | None:
    """What is taken for what."""
    from longtail.report.pictures.thumbnails import Thumbnails, load_thumbnails  # Pillow: only for the page

    if facts.evaluation is None:
        return None
    pictures = Thumbnails(trouble=images.trouble)
    if images.which != "none":
        pictures = load_thumbnails(facts.run, images_of(found, images.which))
    counts = found.matrix
    matrix = _matrix(counts) if counts is not None and counts.errors_only and found.errors else None
    content = {
        "errors": found.errors,
        "groups": _groups(found.groups),
        "first": FIRST,
        "pairs": [_card(pair, pictures) for pair in found.pairs],
        "trouble": pictures.trouble,
        "listed": _listed(found),
        "listed_images": _thumbs(found.listed, pictures, named=True),
        "counts": None if counts is None or counts.errors_only else _counts(counts),
        "matrix": matrix,
        "sinks": _sinks(found),
    }
    return Part(content, {} if matrix is None else {"matrix": matrix.data})


def _groups(counts: Sequence[Sequence[int]]) -> Mapping[str, Any]:
    """Row per cents, for the groups that some image belongs to or is taken for; none for a single one."""
    there = [place for place in range(len(GROUPS)) if sum(counts[place]) or sum(row[place] for row in counts)]
    rows = []
    for place in there if len(there) > 1 else ():
        images = sum(counts[place])
        cells = [_share(counts[place][other], images) for other in there]
        if images:
            rows.append(Row(GROUPS[place], cells, f"{images:,}"))
    return {"columns": [GROUPS[place] for place in there], "rows": rows}


def _share(count: int, images: int) -> Cell:
    """Of so many images; where these are too few to say, the count alone."""
    if images < ENOUGH:
        return Cell(f"{count} of {images}")
    return Cell(cent(count / images), 1 + min(4, int(5 * count / images)))


def _card(pair: Pair, pictures: "Thumbnails") -> Card:
    share = f" ({cent(pair.share)})" if pair.share is not None else ""
    reverse = f"; the other way {pair.reverse:,}" if pair.reverse else "; never the other way"
    overlap = ". Both ways: do the labels overlap?" if pair.both_ways else "."
    text = f"{pair.count:,} of {pair.test_images:,} images{share}{reverse}{overlap}"
    right = [one for one in (pair.right, pair.label_right) if one is not None]
    return Card(
        pair.name, pair.label, text, _thumbs(pair.wrong, pictures), _thumbs(right, pictures, named=True)
    )


def _thumbs(images: Iterable[Prediction], pictures: "Thumbnails", *, named: bool = False) -> list[Thumb]:
    """The images that could be found; with `named`, what each is, and what it was taken for, below it."""
    thumbs = []
    for one in images:
        picture = pictures.get(one.path)
        if picture is None:
            continue
        sure = f"{one.confidence:.2f}"
        alt = f"labelled {shown(one.name)}, predicted {shown(one.label)}, {sure}"
        name = one.name if one.name == one.label else f"{one.name} as {one.label}"
        thumbs.append(Thumb(picture, alt, f"{name}, {sure}" if named else f"sure {sure}"))
    return thumbs


def _listed(found: Confusions) -> Table | None:
    if not found.listed:
        return None
    rows = [(shown_path(one.path), one.name, one.label, f"{one.confidence:.2f}") for one in found.listed]
    listed = len(found.listed)
    caption = "Every error" if listed == found.errors else f"Surest errors: {listed} of {found.errors:,}"
    return Table(caption, ("image", "labelled", "named", "confidence"), rows, (0, 1, 2))


def _counts(matrix: Matrix) -> Mapping[str, Any]:
    """Counts, the errors shaded by their share of the class."""
    rows = []
    for row, (name, counts) in enumerate(zip(matrix.names, matrix.counts, strict=True)):
        images = max(matrix.test_images[row], 1)
        shades = [1 + min(4, int(5 * count / images)) if count else 0 for count in counts]
        cells = [
            Cell(str(count) if count else "", 0 if row == column else shades[column], row == column)
            for column, count in enumerate(counts)
        ]
        rows.append(Row(name, cells))
    return {"columns": matrix.names, "rows": rows}


def _matrix(matrix: Matrix) -> MatrixPart:
    from longtail.report.pictures.class_figures import matrix_svg  # matplotlib: only for the page

    cells = [
        (row, column, count)
        for row, counts in enumerate(matrix.counts)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    most = max(count for *_, count in cells)
    size = len(matrix.names)
    svg = matrix_svg(
        size, cells, most, "What each class is taken for",
        "Rows: the label; columns: what it is taken for. The numbers are below.",
    )  # fmt: skip
    frequent = sorted(cells, key=lambda cell: -cell[2])[:NUMBERS]
    rows = [
        (matrix.names[row], matrix.names[column], f"{count} of {matrix.test_images[row]}")
        for row, column, count in frequent
    ]
    some = f"the {NUMBERS} most frequent of {len(cells):,}" if len(cells) > NUMBERS else "all"
    numbers = Table(f"Errors by pair of classes: {some}", ("class", "taken for", "images"), rows, (0, 1))
    names = [shown(name) for name in matrix.names]
    return MatrixPart(svg, numbers, {"names": names, "tested": matrix.test_images, "cells": cells})


def _sinks(found: Confusions) -> Table | None:
    if not found.sinks:
        return None
    rows = [
        (sink.name, f"{sink.errors:,}", cent(sink.share, found.errors), f"{sink.classes:,}")
        for sink in found.sinks
    ]
    header = ("taken for", "errors", "of all errors", "from classes")
    return Table("Classes that swallow most errors", header, rows)


SECTION = Section(
    rank=40,
    short="Errors",
    heading="What is taken for what?",
    compute=compute,
    terminal=terminal,
    page=page,
    template=TEMPLATE,
)
