"""The form of what is known of images before training, checked where it is read; see `longtail.runs.schema`."""

from typing import Annotated, Literal

from pydantic import Field

from longtail.choices import Bits, Fit
from longtail.records import Record

Count = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Unread(Record):
    """An image that could not be read."""

    path: str
    reason: str


class Repaired(Record):
    """An image that is damaged beside its pixels, and what of it was ignored."""

    path: str
    ignored: str


class LeftOutEntry(Record):
    """See `longtail.data.left_out.LeftOut`."""

    reason: str
    count: Annotated[Count, Field(ge=1)]
    examples: list[str]
    is_problem: bool
    noun: str


class FilesEntry(Record):
    """See `longtail.data.left_out.FileCounts`."""

    seen: Count
    used: Count
    unreadable: Count
    unknown_classes: Count
    not_drawn: Count
    left_out: Count


class DuplicateEntry(Record):
    """See `longtail.data.copies.Duplicates`; `leak` and `conflict` are two paths, and absent in older runs."""

    kind: Literal["exact", "near"]
    paths: list[str]
    splits: list[str]
    classes: list[str]
    leak: tuple[str, str] | None = Field(default=None, strict=False)
    conflict: tuple[str, str] | None = Field(default=None, strict=False)


class LeakingGroupEntry(Record):
    """See `longtail.data.audit.findings.LeakingGroup`."""

    group: str
    splits: list[str]
    images: Count


class ShapesEntry(Record):
    """See `longtail.data.shapes.Shapes`; `suggested` is what suits them."""

    images: Count
    short_side: Count
    narrow: Annotated[float, Field(gt=0)]
    wide: Annotated[float, Field(gt=0)]
    hidden: Fraction
    usually_hidden: Fraction
    most_hidden: Fraction
    example: str
    suggested: Fit


class AuditRecord(Record):
    """audit.json: what is known of the images before training."""

    counts: dict[str, dict[str, Count]] = Field(default_factory=dict)
    unreadable: list[Unread] = Field(default_factory=list)
    repaired: list[Repaired] = Field(default_factory=list)
    suspicious: list[Unread] = Field(default_factory=list)
    duplicates: list[DuplicateEntry] = Field(default_factory=list)
    leaking_groups: list[LeakingGroupEntry] = Field(default_factory=list)
    not_tested: list[str] = Field(default_factory=list)
    single_image: list[str] = Field(default_factory=list)
    too_small: list[str] = Field(default_factory=list)
    unknown_classes: dict[str, Count] = Field(default_factory=dict)
    remarks: list[str] = Field(default_factory=list)
    left_out: list[LeftOutEntry] = Field(default_factory=list)
    files: FilesEntry | None = None
    bits: Bits = 16
    shapes: ShapesEntry | None = None
    checked_near: bool = False
