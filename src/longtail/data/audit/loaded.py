"""What loading a set has found out anyway, for the run that trains on it."""

from collections import Counter
from pathlib import Path

from longtail.data.audit.check import leaking
from longtail.data.audit.duplicates import duplicate_files
from longtail.data.audit.findings import Audit, Duplicates, worst_first
from longtail.data.dataset import LongTailData, Split
from longtail.data.listing import PARTS


def audit_loaded(data: LongTailData, root: Path | None) -> Audit:
    """The counts and notes of loaded images, and which of their files are the same; nothing is decoded again.

    Args:
        data: as loaded.
        root: what the images' names are relative to, where they are files.
    """
    splits = {part: split for part in PARTS if (split := getattr(data, part)) is not None}
    counts = {part: _counts(split, data.class_names) for part, split in splits.items()}
    for part, split in splits.items():
        counts[part] |= split.unknown_classes
    return Audit(
        counts=counts,
        unreadable=data.notes.unreadable,
        repaired=data.notes.repaired,
        duplicates=() if root is None else _same_files(splits, data.class_names, root),
        leaking_groups=leaking(_groups(splits)),
        remarks=(*data.notes.remarks, *data.depth.lines()),
        left_out=data.notes.left_out,
        not_drawn=data.files.not_drawn,
        checked_near=False,
    )


def _counts(split: Split, class_names: tuple[str, ...]) -> dict[str, int]:
    found = Counter(split.targets.tolist())
    return {name: found[index] for index, name in enumerate(class_names)}


def _groups(splits: dict[str, Split]) -> list[tuple[str, str]]:
    return [(part, group) for part, split in splits.items() for group in split.groups or () if group]


def _same_files(splits: dict[str, Split], class_names: tuple[str, ...], root: Path) -> tuple[Duplicates, ...]:
    images = [
        (identity, part, class_names[target])
        for part, split in splits.items()
        for identity, target in zip(split.ids, split.targets.tolist(), strict=True)
    ]
    found = []
    for rows in duplicate_files([root / identity for identity, _, _ in images]):
        paths, parts, classes = zip(*(images[row] for row in rows), strict=True)
        found.append(Duplicates("exact", paths, parts, classes))
    return worst_first(found)
