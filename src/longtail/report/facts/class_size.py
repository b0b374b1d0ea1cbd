"""Does it fail on rare classes? Recall against class size, in a form that suits the number of classes."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.sections import BandPoint, Classes, ClassSize, SizeBin, SizeDecile
from longtail.report.limits import ENOUGH
from longtail.runs.run import Run

ALL_NAMED, ALL_DRAWN = 30, 500
NAMED = 5
BAND_FROM, BAND_POINTS = 10, 40
SIZE_BINS, RECALL_BINS = 24, 10


def class_size(run: Run, e: Evaluation, classes: Classes) -> ClassSize:
    """The section, from the ranked classes; groups meet half an image beside the numbers of the recipe."""
    options = run.recipe["data"]
    edges = (int(options.get("few_below", 20)) - 0.5, int(options.get("many_above", 100)) + 0.5)
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
