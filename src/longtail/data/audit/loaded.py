"""What loading a set has found out anyway, for the run that trains on it."""

from collections import Counter

from longtail.data.audit.check import leaking
from longtail.data.audit.findings import Audit, worst_first
from longtail.data.copies import copies_in
from longtail.data.dataset import LongTailData, Split
from longtail.data.listing import PARTS
from longtail.data.shapes import shapes_of
from longtail.types import Fit


def audit_loaded(data: LongTailData, fit: Fit = "crop") -> Audit:
    """The counts and notes of loaded images, and which of them are copies; nothing is read again.

    Args:
        data: the images.
        fit: how they become squares.
    """
    sizes = data.train.sizes
    shapes = None if sizes is None else shapes_of(sizes, data.train.ids)
    splits = {part: split for part in PARTS if (split := getattr(data, part)) is not None}
    counts = {part: _counts(split, data.class_names) for part, split in splits.items()}
    for part, split in splits.items():
        counts[part] |= split.unknown_classes
    return Audit(
        counts=counts,
        unreadable=data.notes.unreadable,
        repaired=data.notes.repaired,
        duplicates=worst_first(copies_in(splits, data.class_names)),
        leaking_groups=leaking(_groups(splits)),
        remarks=(*data.notes.remarks, *data.depth.lines(), *(shapes.lines(fit) if shapes else ())),
        left_out=data.notes.left_out,
        not_drawn=data.files.not_drawn,
        bits=data.depth.bits,
        shapes=shapes,
        checked_near=False,
    )


def _counts(split: Split, class_names: tuple[str, ...]) -> dict[str, int]:
    found = Counter(split.targets.tolist())
    return {name: found[index] for index, name in enumerate(class_names)}


def _groups(splits: dict[str, Split]) -> list[tuple[str, str]]:
    return [(part, group) for part, split in splits.items() for group in split.groups or () if group]
