"""How far chance may have moved the scores of an evaluation, in one line."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from longtail.metrics.intervals import macro_interval, wilson
from longtail.runs.groups import ENOUGH, GROUPS


def chance_lines(classes: pd.DataFrame | None) -> list[str]:
    """95 % intervals of overall, macro and the groups, as if images were independent; none without images.

    Args:
        classes: per_class.csv: a row a class with its group, test_images and correct.
    """
    if classes is None or not classes["test_images"].sum():
        return []
    return [f"95 % intervals: {', '.join(_scores(classes[classes['test_images'] > 0]))}"]


def _scores(classes: pd.DataFrame) -> Iterator[str]:
    images, correct = (classes[column].to_numpy(dtype=float) for column in ("test_images", "correct"))
    low, high = wilson(correct[:, None].sum(0), images[:, None].sum(0))
    yield f"overall {_said(correct, images, (float(low[0]), float(high[0])))}"
    yield f"macro {_said(correct, images, macro_interval(correct, images))}"
    for group in GROUPS:
        own = (classes["group"] == group).to_numpy()
        if own.any():
            yield f"{group} {_said(correct[own], images[own], macro_interval(correct[own], images[own]))}"


def _said(correct: np.ndarray, images: np.ndarray, interval: tuple[float, float]) -> str:
    if images.sum() < ENOUGH:
        return f"{correct.sum():.0f} of {images.sum():.0f} right, too few to say"
    low, high = interval
    return f"{100 * low:.0f}-{100 * high:.0f}"
