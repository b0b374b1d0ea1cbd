"""Recall against class size, in a form that suits the number of classes."""

from dataclasses import dataclass
from typing import Literal

from longtail.report.facts.class_rows import ClassRow
from longtail.report.facts.evaluation import Interval


@dataclass(frozen=True, slots=True)
class BandPoint:
    """Quartiles of recall among the classes around one size."""

    train_images: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class SizeBin:
    """A cell of recall against class size, for many classes: edges, and the classes in it."""

    images: Interval
    recall: Interval
    classes: int


@dataclass(frozen=True, slots=True)
class SizeDecile:
    """Classes of similar size, where each has too few test images for a recall: shares that add to 1.

    Attributes:
        train_images: fewest and most training images.
        classes: how many.
        none, up_to_half, over_half, all_right: share of the classes by how many of their images are right.
    """

    train_images: tuple[int, int]
    classes: int
    none: float
    up_to_half: float
    over_half: float
    all_right: float


@dataclass(frozen=True, slots=True)
class ClassSize:
    """Does it fail on rare classes? The points are the tested rows of `Classes`.

    Attributes:
        form: "named" (up to 30 classes), "dots" (up to 500), "bins", or "shares" (a median below 10 test images).
        points: tested classes, in order of training images; empty where bins or shares are shown.
        named: names to write beside their points.
        band: running quartiles over class size; empty for fewer than 10 classes.
        edges: training images at which groups meet, within the range of the data.
        bins, deciles: for the forms "bins" and "shares".
    """

    form: Literal["named", "dots", "bins", "shares"]
    points: tuple[ClassRow, ...]
    named: tuple[str, ...]
    band: tuple[BandPoint, ...]
    edges: tuple[float, ...]
    bins: tuple[SizeBin, ...]
    deciles: tuple[SizeDecile, ...]
