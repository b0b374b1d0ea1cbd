"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

from longtail.predict.classifier import Classifier
from longtail.predict.exported import ExportedClassifier
from longtail.predict.inputs import items_of, named_image
from longtail.predict.opening import load, load_run
from longtail.predict.outcome import Outcome
from longtail.predict.predictor import Predictor
from longtail.predict.prior import Prior
from longtail.predict.sources import ImageSources, Sources
from longtail.predict.unreadable import (
    Unreadable,
    repaired_lines,
    unreadable_error,
    unreadable_lines,
    unreadable_warning,
)

__all__ = [
    "Classifier",
    "ExportedClassifier",
    "ImageSources",
    "Outcome",
    "Predictor",
    "Prior",
    "Sources",
    "Unreadable",
    "items_of",
    "load",
    "load_run",
    "named_image",
    "repaired_lines",
    "unreadable_error",
    "unreadable_lines",
    "unreadable_warning",
]
