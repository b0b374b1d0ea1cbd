"""What is known of a set of images before anything is trained on it, and the form it has in audit.json."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from longtail.data.copies import Duplicates
from longtail.data.left_out import FileCounts, LeftOut
from longtail.data.name_groups import NameGroups
from longtail.data.rows import natural, ordered
from longtail.data.shapes import Shapes
from longtail.runs.groups import ENOUGH


class LeakingGroup(NamedTuple):
    """A group (burst, camera, patient) with images in several splits."""

    group: str
    splits: tuple[str, ...]
    images: int


@dataclass(frozen=True)
class Audit:
    """What was found in a set of images.

    Attributes:
        counts: split -> class -> readable images; every split lists every class.
        is_flat: the set knows no splits yet; all of it is listed as train.
        held_out: class -> test images that a set without splits would get; empty where it has splits.
        unreadable: (path, reason) of each image that could not be read.
        repaired: (path, what was ignored) of each image with damaged metadata or end, and sound pixels; no problem.
        suspicious: (path, reason) of images that were read and are out of the ordinary.
        duplicates: images that the set holds more than once; first those that leak, then those that conflict.
        leaking_groups: groups with images in several splits.
        is_divisible: it is made of files, so that a table can divide it again.
        num_groups: how many groups there are; None where none were asked for.
        remarks: what a person should know of how the set was read.
        left_out: what was found and is not used, by reason.
        not_drawn: images that the long-tail profile does not take.
        bits: as how many the values of images of 16 bits are read.
        shapes: of the training images; None where they are not known.
        checked_near: whether images that look alike were searched for.
        bursts: sets of images taken in one go, which stay in one split where images are held out; of a set that has
            splits they are not searched for.
        name_groups: groups that file names seem to hold and the splits divide, where the set names none.
    """

    counts: Mapping[str, Mapping[str, int]]
    is_flat: bool = False
    is_divisible: bool = True
    held_out: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[tuple[str, str], ...] = ()
    repaired: tuple[tuple[str, str], ...] = ()
    suspicious: tuple[tuple[str, str], ...] = ()
    duplicates: tuple[Duplicates, ...] = ()
    leaking_groups: tuple[LeakingGroup, ...] = ()
    num_groups: int | None = None
    remarks: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    not_drawn: int = 0
    bits: int = 16
    shapes: Shapes | None = None
    checked_near: bool = True
    bursts: int = 0
    name_groups: NameGroups | None = None

    @cached_property
    def tested(self) -> Mapping[str, int]:
        """Class -> images to test on: the test split, else the validation split, else what would be held out."""
        return self.counts.get("test", self.counts.get("val", self.held_out))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Classes with training images, the largest first."""
        train = self.counts.get("train", {})
        return tuple(
            sorted((c for c, count in train.items() if count), key=lambda c: (-train[c], natural(c)))
        )

    @cached_property
    def unknown_classes(self) -> dict[str, int]:
        """Class without a training image -> its images in other splits, which no model can name."""
        known, total = set(self.classes), Counter[str]()
        for part, counts in self.counts.items():
            if part != "train":
                total.update(counts)
        return {name: count for name, count in total.items() if count and name not in known}

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes without any readable image."""
        names = {name for counts in self.counts.values() for name in counts}
        return ordered(name for name in names if not any(counts.get(name) for counts in self.counts.values()))

    @property
    def not_tested(self) -> tuple[str, ...]:
        """Classes of training without an image to test on; none where nothing is known of a test."""
        return tuple(name for name in self.classes if self.tested and not self.tested.get(name))

    @property
    def too_small(self) -> tuple[str, ...]:
        """Classes of training with fewer than ENOUGH images to test on, but some."""
        return tuple(name for name in self.classes if 0 < self.tested.get(name, 0) < ENOUGH)

    @property
    def single_image(self) -> tuple[str, ...]:
        """Classes with one training image."""
        return tuple(name for name in self.classes if self.counts["train"][name] == 1)

    @property
    def leaks(self) -> tuple[Duplicates, ...]:
        """Duplicates across splits."""
        return tuple(found for found in self.duplicates if found.leaks)

    @property
    def conflicts(self) -> tuple[Duplicates, ...]:
        """Duplicates with different labels."""
        return tuple(found for found in self.duplicates if found.conflicts)

    @property
    def files(self) -> FileCounts:
        """What became of all that was found."""
        readable = sum(sum(counts.values()) for counts in self.counts.values())
        unknown = sum(self.unknown_classes.values())
        left_out = sum(one.count for one in self.left_out)
        return FileCounts(readable - unknown, len(self.unreadable), unknown, self.not_drawn, left_out)

    @property
    def has_problems(self) -> bool:
        """Whether anything was found that makes a score wrong or leaves one out."""
        found: Sequence[object] = (
            *(self.unreadable, self.leaks, self.conflicts, self.leaking_groups),
            *(self.unknown_classes, self.not_tested, self.single_image),
            [one for one in self.left_out if one.is_problem],
        )
        return any(found)

    def contents(self) -> dict[str, Any]:
        """What audit.json holds."""
        return {
            "counts": {part: dict(counts) for part, counts in self.counts.items()},
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            "repaired": [{"path": path, "ignored": what} for path, what in self.repaired],
            "duplicates": [one.contents() for one in self.duplicates],
            "leaking_groups": [one._asdict() | {"splits": list(one.splits)} for one in self.leaking_groups],
            "not_tested": list(self.not_tested),
            "single_image": list(self.single_image),
            "too_small": list(self.too_small),
            "suspicious": [{"path": path, "reason": reason} for path, reason in self.suspicious],
            "unknown_classes": self.unknown_classes,
            "remarks": list(self.remarks),
            "left_out": [one.contents() for one in self.left_out],
            "files": self.files.contents(),
            "bits": self.bits,
            "shapes": None if self.shapes is None else self.shapes.contents(),
            "checked_near": self.checked_near,
        }


def worst_first(found: Sequence[Duplicates]) -> tuple[Duplicates, ...]:
    """Duplicates in the order in which they deserve a look: leaks, conflicts, exact ones, large ones."""
    return tuple(
        sorted(found, key=lambda d: (not d.leaks, not d.conflicts, d.kind, -len(d.paths), d.paths[0]))
    )
