"""Does it fail on rare classes? Recall against class size, in a form that suits the number of classes."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from longtail.report.facts.class_rows import Classes
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.size import BandPoint, ClassSize, SizeBin, SizeDecile
from longtail.report.parts import Images, Part, Picture, Table, cent
from longtail.report.section import Facts, Section
from longtail.runs.groups import ENOUGH, FEW_BELOW, GROUPS, MANY_ABOVE
from longtail.runs.run import Run

TEMPLATE = """\
{% set s = content %}
{% if s.groups %}<p class="quiet">{% for name in s.groups %}{{ group(name) }}{% if not loop.last %} &nbsp; {% \
endif %}{% endfor %}</p>{% endif %}
{{ pictures(s.pictures) }}
"""


ALL_NAMED, ALL_DRAWN = 30, 500
NAMED = 5
BAND_FROM, BAND_POINTS = 10, 40
SIZE_BINS, RECALL_BINS = 24, 10


def compute(facts: Facts) -> ClassSize | None:
    e = facts.evaluation
    return None if e is None else _class_size(facts.run, e, facts.classes)


def page(found: ClassSize, facts: Facts, images: Images) -> Part:
    """Recall against class size."""
    from longtail.report.pictures import class_figures  # matplotlib: only for the page
    from longtail.report.pictures.svg import to_svg

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
        return Part({"pictures": (), "groups": ()})
    svg = to_svg(figure, "size", heading, f"{caption} The numbers are in the table of classes.")
    numbers = _table(found) if found.form == "shares" else None
    marks = () if found.form in ("shares", "bins") else _groups(found)
    return Part({"pictures": [Picture(heading, svg, caption, numbers)], "groups": marks})


def _groups(found: ClassSize) -> tuple[str, ...]:
    return tuple(group for group in GROUPS if any(point.group == group for point in found.points))


def _table(found: ClassSize) -> Table:
    rows = [
        (
            f"{part.train_images[0]:,}-{part.train_images[1]:,}", f"{part.classes:,}",
            *(cent(share) for share in (part.none, part.up_to_half, part.over_half, part.all_right)),
        )
        for part in found.deciles
    ]  # fmt: skip
    header = ("training images", "classes", "none right", "up to half", "over half", "all right")
    return Table("Classes by how many of their images are right", header, rows)


def _class_size(run: Run, e: Evaluation, classes: Classes) -> ClassSize:
    """The section, from the ranked classes; groups meet half an image beside the numbers of the recipe."""
    options = run.recipe["data"]
    edges = (int(options.get("few_below", FEW_BELOW)) - 0.5, int(options.get("many_above", MANY_ABOVE)) + 0.5)
    points = sorted(
        (row for row in classes.rows if row.test_images), key=lambda row: (row.train_images, row.index)
    )
    few = classes.typical_images < ENOUGH and len(points) > ALL_NAMED
    drawn = few or len(points) > ALL_DRAWN
    clear = (*classes.weakest[:NAMED], *classes.strongest)[:NAMED]
    form = "shares" if few else "bins" if drawn else "dots" if len(points) > ALL_NAMED else "named"
    size, recall = e.counts[e.tested], e.recall[e.tested]
    return ClassSize(
        form=form,  # type: ignore[arg-type]
        points=() if drawn else tuple(points),
        named=tuple(row.name for row in points) if form == "named" else () if drawn else clear,
        band=() if few else _band(size, recall),
        edges=tuple(edge for edge in edges if size.min() < edge < size.max()),
        bins=_bins(size, recall) if form == "bins" else (),
        deciles=_deciles(size, e.correct[e.tested], e.images[e.tested]) if few else (),
    )


def _band(size: Int[ndarray, " c"], recall: Float[ndarray, " c"]) -> tuple[BandPoint, ...]:
    """Quartiles over a window of an eighth of the classes, at least five, that moves along class size."""
    if len(size) < BAND_FROM:
        return ()
    order = np.argsort(size, kind="stable")
    width = max(5, len(size) // 8)
    starts = np.unique(np.linspace(0, len(size) - width, BAND_POINTS).astype(int))
    points: dict[float, BandPoint] = {}
    for start in starts:
        window = order[start : start + width]
        low, median, high = np.quantile(recall[window], [0.25, 0.5, 0.75]).tolist()
        images = float(np.exp(np.log(np.maximum(size[window], 1)).mean()))
        points[images] = BandPoint(images, low, median, high)
    return tuple(points.values())


def _bins(size: Int[ndarray, " c"], recall: Float[ndarray, " c"]) -> tuple[SizeBin, ...]:
    across = np.geomspace(max(1, size.min()), size.max() + 1, SIZE_BINS + 1)
    up = np.linspace(0, 1, RECALL_BINS + 1)
    classes, _, _ = np.histogram2d(size, recall, (across, up))
    return tuple(
        SizeBin(
            (float(across[x]), float(across[x + 1])), (float(up[y]), float(up[y + 1])), int(classes[x, y])
        )
        for x, y in zip(*np.nonzero(classes), strict=True)
    )


def _deciles(
    size: Int[ndarray, " c"], correct: Int[ndarray, " c"], images: Int[ndarray, " c"]
) -> tuple[SizeDecile, ...]:
    """Tenths of the classes by size, classes of equal size together; the largest first."""
    cuts = np.unique(np.quantile(size, np.linspace(0.1, 0.9, 9), method="higher"))
    part, found = np.searchsorted(cuts, size, side="right"), []
    for number in np.unique(part)[::-1]:
        which = part == number
        k, n = correct[which], images[which]
        shares = (k == 0, (k > 0) & (2 * k <= n), (2 * k > n) & (k < n), k == n)
        ends = (int(size[which].min()), int(size[which].max()))
        found.append(SizeDecile(ends, int(which.sum()), *(float(share.mean()) for share in shares)))
    return tuple(found)


SECTION = Section(
    rank=20,
    short="Class size",
    heading="Does it fail on rare classes?",
    compute=compute,
    page=page,
    template=TEMPLATE,
)
