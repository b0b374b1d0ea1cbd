"""What is in the data? Class counts by rank, and what the audit found before training."""

from collections.abc import Mapping
from typing import Any

from longtail.data.left_out import left_out_of
from longtail.report.facts.run_sections import Data, Duplicate, LeakingGroup, RankedCount
from longtail.report.run import Run
from longtail.types import InputError

FILE = "audit.json"


def data(run: Run) -> Data:
    """The section, from classes.json, audit.json and metrics.json.

    Raises:
        InputError: audit.json is damaged.
    """
    found, metrics, unreadable = run.json(FILE), run.metrics or {}, run.unreadable
    ranked = sorted(run.classes, key=lambda entry: (-entry["count"], entry["index"]))
    counts = [entry["count"] for entry in ranked]
    try:
        return Data(
            counts=tuple(RankedCount(c["name"], c["count"], c["group"]) for c in ranked),
            imbalance_factor=counts[0] / counts[-1] if counts and counts[-1] else None,
            audited=found is not None,
            unknown_classes=tuple(metrics.get("unknown_classes", {}).items()),
            **_audited(found or {}, metrics, unreadable),
        )
    except (KeyError, TypeError, AttributeError) as error:
        file = run.path / FILE
        raise InputError(f"{file} is damaged ({error}); remove it and make the report again") from None


def _audited(
    found: Mapping[str, Any], metrics: Mapping[str, Any], unreadable: dict[str, str]
) -> dict[str, Any]:
    duplicates = [
        Duplicate(entry["kind"], tuple(entry["paths"]), tuple(entry["splits"]), tuple(entry["classes"]))
        for entry in found.get("duplicates", ())
    ]
    unread = {entry["path"]: entry["reason"] for entry in found.get("unreadable", ())}
    return {
        "checked_near": bool(found.get("checked_near", False)),
        "unreadable": tuple((unread | unreadable).items()),
        "suspicious": tuple((entry["path"], entry["reason"]) for entry in found.get("suspicious", ())),
        "duplicates": tuple(sorted(duplicates, key=lambda entry: len(set(entry.splits)) < 2)),
        "leaking_groups": tuple(
            LeakingGroup(str(entry["group"]), tuple(entry["splits"]), int(entry["images"]))
            for entry in found.get("leaking_groups", ())
        ),
        "not_tested": tuple(metrics.get("not_tested", found.get("not_tested", ()))),
        "single_image": tuple(found.get("single_image", ())),
        "too_small": tuple(found.get("too_small", ())),
        "left_out": left_out_of(found.get("left_out", ())),
    }
