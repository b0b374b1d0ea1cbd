"""Metrics as pure functions of counts, which are sums over images and so can be merged over processes."""

from longtail.metrics.calibration import (
    COLDEST,
    HOTTEST,
    fit_temperature,
    temperature_interval,
    why_no_temperature,
)
from longtail.metrics.counts import EvaluationCounts
from longtail.metrics.groups import class_groups
from longtail.metrics.scores import Scores, per_class_rows, summarize, to_metrics

__all__ = [
    "COLDEST",
    "HOTTEST",
    "EvaluationCounts",
    "Scores",
    "class_groups",
    "fit_temperature",
    "per_class_rows",
    "summarize",
    "temperature_interval",
    "to_metrics",
    "why_no_temperature",
]
