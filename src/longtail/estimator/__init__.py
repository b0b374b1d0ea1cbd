"""A classifier of images in the form of scikit-learn, for pipelines, cross-validation and searches."""

from longtail.estimator.classifier import LongTailClassifier

__all__ = ["LongTailClassifier"]
