"""What is in the data? Class counts by rank, and what the audit found before training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.data.left_out import FileCounts, LeftOut, left_out_of
from longtail.report.facts.words import count
from longtail.report.limits import AGAIN
from longtail.report.places import images_of
from longtail.runs import layout
from longtail.runs.run import Run
from longtail.runs.schema import AuditRecord


@dataclass(frozen=True, slots=True)
class RankedCount:
    """Training images of a class, most first."""

    name: str
    train_images: int
    group: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Images that are the same ("exact") or nearly so ("near"); `leak` and `conflict` are two that show it, or ()."""

    kind: str
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    leak: tuple[str, ...] = ()
    conflict: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeakingGroup:
    """A patient, camera or burst in more than one split."""

    group: str
    splits: tuple[str, ...]
    images: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What is in the data?

    Attributes:
        counts: by rank.
        imbalance_factor: largest over smallest class.
        audited: whether the audit's file was there; the fields below are empty without it.
        checked_near: whether near duplicates were looked for.
        unreadable, suspicious: (path, reason).
        repaired: (path, what was ignored) of images damaged beside their pixels.
        duplicates: all; those over more than one split first.
        leaking_groups: in more than one split.
        not_tested, single_image, too_small: class names.
        unknown_classes: (name, images) in the evaluated data and not in the model.
        left_out: what lay among the images and is not used, by reason.
        files: what became of all that was found, where that was counted.
        remarks: what else is odd about the set, a line each.
        check: the command that looks at all images; "" of a published set.
    """

    counts: tuple[RankedCount, ...]
    imbalance_factor: float | None
    audited: bool
    checked_near: bool
    unreadable: tuple[tuple[str, str], ...]
    suspicious: tuple[tuple[str, str], ...]
    duplicates: tuple[Duplicate, ...]
    leaking_groups: tuple[LeakingGroup, ...]
    not_tested: tuple[str, ...]
    single_image: tuple[str, ...]
    too_small: tuple[str, ...]
    unknown_classes: tuple[tuple[str, int], ...]
    left_out: tuple[LeftOut, ...] = ()
    repaired: tuple[tuple[str, str], ...] = ()
    files: FileCounts | None = None
    remarks: tuple[str, ...] = ()
    check: str = ""


def read_audit(run: Run) -> Audit:
    """The section, from classes.json, audit.json and metrics.json.

    Raises:
        InputError: audit.json is damaged.
    """
    found = run.read(layout.AUDIT, AGAIN)
    metrics, unreadable = run.metrics or {}, run.unreadable
    ranked = sorted(run.classes, key=lambda entry: (-entry["count"], entry["index"]))
    counts = [entry["count"] for entry in ranked]
    return Audit(
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


def straddling(found: Audit) -> Iterator[str]:
    """What makes scores too good: related images in several splits."""
    if found.leaking_groups:
        leaks = count(len(found.leaking_groups), "group")
        yield f"{leaks} of images (patients, cameras, bursts) straddle the splits: scores are too good."
    doubles = [entry for entry in found.duplicates if len(set(entry.splits)) > 1]
    if doubles:
        pair = f" ({' = '.join(doubles[0].leak)})" if doubles[0].leak else ""
        yield f"{count(len(doubles), 'set')} of copies straddle the splits{pair}: scores are too good."
