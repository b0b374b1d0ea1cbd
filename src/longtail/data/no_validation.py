"""What to say of a set that has no validation split."""

import shlex
from pathlib import Path

from longtail.runs import layout

SUGGESTED = 0.1  # of each class, where there is a test split and validation images are missed


def no_validation(path: str | Path | None, *, divisible: bool = True) -> str:
    """What to say of a set with a test split and no validation split, and how it gets one.

    Args:
        path: where the images lie.
        divisible: whether `data split` takes them.

    >>> no_validation("my photos").partition("the test split too: ")[2]
    "longtail data split 'my photos' -o splits.csv --again --val 0.1"
    """
    way = f"longtail data split {shlex.quote(str(path))} -o {layout.SPLITS} --again --val {SUGGESTED}"
    return (
        "has a test split and no validation split, so no temperature is fitted and nothing (thresholds, settings) can "
        f"be chosen but on test images; to hold out images of each class: --set data.validation={SUGGESTED}"
        + (
            f"; to divide all images again, the test split too: {way}"
            if divisible and path is not None
            else ""
        )
    )
