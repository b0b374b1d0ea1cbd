"""Metrics as pure functions of counts, which are sums over images and so can be merged over processes."""

from typing import TYPE_CHECKING

from longtail.on_demand import on_demand

if TYPE_CHECKING:
    from longtail.metrics.calibration import COLDEST as COLDEST
    from longtail.metrics.calibration import HOTTEST as HOTTEST
    from longtail.metrics.calibration import fit_temperature as fit_temperature
    from longtail.metrics.calibration import temperature_interval as temperature_interval
    from longtail.metrics.calibration import why_no_temperature as why_no_temperature
    from longtail.metrics.counts import EvaluationCounts as EvaluationCounts
    from longtail.metrics.counts import class_groups as class_groups
    from longtail.metrics.scores import Scores as Scores
    from longtail.metrics.scores import per_class_rows as per_class_rows
    from longtail.metrics.scores import summarize as summarize
    from longtail.metrics.scores import to_metrics as to_metrics
else:
    __getattr__ = on_demand(
        __name__,
        {
            "COLDEST": "longtail.metrics.calibration",
            "EvaluationCounts": "longtail.metrics.counts",
            "HOTTEST": "longtail.metrics.calibration",
            "Scores": "longtail.metrics.scores",
            "class_groups": "longtail.metrics.counts",
            "fit_temperature": "longtail.metrics.calibration",
            "per_class_rows": "longtail.metrics.scores",
            "summarize": "longtail.metrics.scores",
            "temperature_interval": "longtail.metrics.calibration",
            "to_metrics": "longtail.metrics.scores",
            "why_no_temperature": "longtail.metrics.calibration",
        },
    )

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
