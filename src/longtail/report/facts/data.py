"""What is in the data? Class counts by rank, and what the audit found before training."""

from collections.abc import Mapping
from typing import Any

from longtail.data.left_out import FileCounts, left_out_of
from longtail.report.facts.run_sections import Data, Duplicate, LeakingGroup, RankedCount
from longtail.report.places import images_of
from longtail.runs import layout
from longtail.runs.run import Run
from longtail.runs.schema import AuditRecord

AGAIN = "remove it and make the report again"


def data(run: Run) -> Data:
    """The section, from classes.json, audit.json and metrics.json.

    Raises:
        InputError: audit.json is damaged.
    """
    found = run.read(layout.AUDIT, AGAIN)
    metrics, unreadable = run.metrics or {}, run.unreadable
    ranked = sorted(run.classes, key=lambda entry: (-entry["count"], entry["index"]))
    counts = [entry["count"] for entry in ranked]
    return Data(
        counts=tuple(RankedCount(c["name"], c["count"], c["group"]) for c in ranked),
        imbalance_factor=counts[0] / counts[-1] if counts and counts[-1] else None,
        audited=found is not None,
        unknown_classes=tuple(metrics.get("unknown_classes", {}).items()),
        check=f"longtail data check {images}" if (images := images_of(run)) else "",
        **_audited(found or AuditRecord(), metrics, unreadable),
    )


def _audited(found: AuditRecord, metrics: Mapping[str, Any], unreadable: dict[str, str]) -> dict[str, Any]:
    duplicates = [
        Duplicate(
            one.kind,
            tuple(one.paths),
            tuple(one.splits),
            tuple(one.classes),
            tuple(one.leak or ()),
            tuple(one.conflict or ()),
        )
        for one in found.duplicates
    ]
    evaluated = {entry["path"]: entry["ignored"] for entry in metrics.get("repaired", ())}
    unread = {one.path: one.reason for one in found.unreadable}
    return {
        "checked_near": found.checked_near,
        "unreadable": tuple((unread | unreadable).items()),
        "suspicious": tuple((one.path, one.reason) for one in found.suspicious),
        "duplicates": tuple(sorted(duplicates, key=lambda entry: len(set(entry.splits)) < 2)),
        "leaking_groups": tuple(
            LeakingGroup(one.group, tuple(one.splits), one.images) for one in found.leaking_groups
        ),
        "not_tested": tuple(metrics.get("not_tested", found.not_tested)),
        "single_image": tuple(found.single_image),
        "too_small": tuple(found.too_small),
        "repaired": tuple(({one.path: one.ignored for one in found.repaired} | evaluated).items()),
        "files": None if found.files is None else FileCounts(**found.files.model_dump(exclude={"seen"})),
        "left_out": left_out_of(one.model_dump() for one in found.left_out),
        "remarks": tuple(found.remarks),
    }
