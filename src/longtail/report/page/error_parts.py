"""The section on errors: what is taken for what, with the images themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longtail.report.facts import Confusions, Matrix, Pair, Prediction
from longtail.report.limits import ENOUGH
from longtail.report.page.class_figures import matrix_svg
from longtail.report.page.parts import Table, Thumb, cent, shown, shown_path
from longtail.report.page.thumbnails import Thumbnails
from longtail.runs.groups import GROUPS

FIRST = 4  # pairs shown at once; the others open
NUMBERS = 50  # errors listed as numbers beside the matrix


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
class Card:
    """A class taken for another, with images."""

    true: str
    predicted: str
    text: str
    wrong: Sequence[Thumb] = ()
    right: Sequence[Thumb] = ()


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


def confusions(found: Confusions, pictures: Thumbnails) -> Mapping[str, Any]:
    """What is taken for what."""
    matrix = found.matrix
    return {
        "errors": found.errors,
        "groups": _groups(found.groups),
        "first": FIRST,
        "pairs": [_card(pair, pictures) for pair in found.pairs],
        "trouble": pictures.trouble,
        "listed": _listed(found),
        "listed_images": _thumbs(found.listed, pictures, named=True),
        "counts": None if matrix is None or matrix.errors_only else _counts(matrix),
        "matrix": _matrix(matrix) if matrix is not None and matrix.errors_only and found.errors else None,
        "sinks": _sinks(found),
    }


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


def _card(pair: Pair, pictures: Thumbnails) -> Card:
    share = f" ({cent(pair.share)})" if pair.share is not None else ""
    reverse = f"; the other way {pair.reverse:,}" if pair.reverse else "; never the other way"
    overlap = ". Both ways: do the labels overlap?" if pair.both_ways else "."
    text = f"{pair.count:,} of {pair.test_images:,} images{share}{reverse}{overlap}"
    right = [one for one in (pair.right, pair.label_right) if one is not None]
    return Card(
        pair.name, pair.label, text, _thumbs(pair.wrong, pictures), _thumbs(right, pictures, named=True)
    )


def _thumbs(images: Iterable[Prediction], pictures: Thumbnails, *, named: bool = False) -> list[Thumb]:
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
