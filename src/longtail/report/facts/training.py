"""Did training go well? The log as curves, unsmoothed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from longtail.report.facts.run_sections import Series, Training
from longtail.runs.groups import GROUPS
from longtail.runs.run import PART_NAMES, SPLITS, Run


def training(run: Run) -> Training:
    """The section, from log.jsonl."""
    log = run.log
    terms = dict.fromkeys(name for record in log for name in record["loss"])
    part = next((name for name in SPLITS if any(name in record for record in log)), None)
    curves = [
        _series(name, "loss", [(record["epoch"], record["loss"].get(name)) for record in log])
        for name in terms
    ]
    if part is not None:
        scored = [record for record in log if part in record]
        there = [key for key in GROUPS if any(record[part].get(key) is not None for record in scored)]
        curves += [
            _series(key, "score", [(record["epoch"], record[part].get(key)) for record in scored])
            for key in ("macro", *(there if len(there) > 1 else ()))
        ]
    curves.append(_series("learning rate", "rate", [(record["epoch"], record.get("lr")) for record in log]))
    return Training(
        series=tuple(curve for curve in curves if curve.epochs),
        scores_on=PART_NAMES.get(str(part), ""),
        stages=tuple(
            (str(stage), 1 + min(epochs), 1 + max(epochs))
            for stage in dict.fromkeys(record["stage"] for record in log)
            if (epochs := [record["epoch"] for record in log if record["stage"] == stage])
        ),
        edges=stage_edges(log),
        epochs=int(run.status["epochs"]),
    )


def stage_edges(log: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """Number of finished epochs at which one stage gave way to the next."""
    return tuple(int(after["epoch"]) for before, after in pairwise(log) if before["stage"] != after["stage"])


def _series(name: str, kind: str, points: list[tuple[int, float | None]]) -> Series:
    known = [(epoch + 1, float(value)) for epoch, value in points if value is not None]
    return Series(name, kind, tuple(epoch for epoch, _ in known), tuple(value for _, value in known))
