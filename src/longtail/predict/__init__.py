"""A trained run as a classifier of images: predictions with the experts' votes, and further evaluation."""

from longtail.predict.classifier import Classifier, Sources
from longtail.predict.exported import ExportedClassifier
from longtail.predict.opening import load
from longtail.predict.unreadable import Unreadable, unreadable_error, unreadable_lines

__all__ = [
    "Classifier",
    "ExportedClassifier",
    "Sources",
    "Unreadable",
    "load",
    "unreadable_error",
    "unreadable_lines",
]
