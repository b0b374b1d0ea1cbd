"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

from longtail.predict.classifier import Classifier, load
from longtail.predict.prior import Prior
from longtail.predict.sources import ImageSources, Sources
from longtail.predict.unreadable import Unreadable, unreadable_error, unreadable_lines

__all__ = [
    "Classifier",
    "ImageSources",
    "Prior",
    "Sources",
    "Unreadable",
    "load",
    "unreadable_error",
    "unreadable_lines",
]
