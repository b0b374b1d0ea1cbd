"""`longtail data check`: see every image of a set once, and tell what is wrong with it before training."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from longtail.data.audit.duplicates import duplicate_rows
from longtail.data.audit.findings import PARTS, Audit, Duplicates, LeakingGroup, worst_first
from longtail.data.audit.look import Look, look
from longtail.data.grouping import group_names
from longtail.data.images import in_threads
from longtail.data.listing import Listing, Source
from longtail.data.loading import read_source, source_of
from longtail.data.opening import UnreadableError
from longtail.data.options import DataOptions

HELD_OUT = 0.2  # of each class, where a set has no test part


@dataclass
class _Seen:
    """The images of all parts, one after the other."""

    paths: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)


def check(
    path: Path,
    *,
    root: Path | None = None,
    group_by: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Read and decode every image of a set once, and tell what was found.

    Memory holds about half a kilobyte an image; nothing is written.

    Args:
        path: any source of your own images.
        root: folder that the paths of a table, list or annotations start from. Default: the one it lies in.
        group_by: which images belong together, see `group_names`. Default: the groups that the set itself names.
        progress: called with the number of images seen and of all.

    Raises:
        InputError: there is nothing to check, or `group_by` does not fit.
    """
    options = DataOptions(name=source_of(path), path=str(path), root=None if root is None else str(root))
    source = read_source(options)
    listings = {part: getattr(source, part) for part in PARTS if getattr(source, part) is not None}
    groups = _groups(listings, group_by)
    seen = _see(listings, progress)
    return Audit(
        counts=_counts(listings, seen),
        is_flat=source.is_flat,
        is_divisible=options.name not in ("parquet", "packed"),
        held_out=_held_out(seen) if source.test is None and source.val is None else {},
        unreadable=tuple(seen.bad),
        suspicious=tuple((p, odd) for p, one in zip(seen.paths, seen.looks, strict=True) for odd in one.odd),
        duplicates=_duplicates(seen),
        leaking_groups=leaking(groups),
        num_groups=len({group for _, group in groups}) if groups else None,
        remarks=_remarks(source, listings),
    )


def leaking(groups: Sequence[tuple[str, str]]) -> tuple[LeakingGroup, ...]:
    """The groups with images in several parts, the largest first.

    Args:
        groups: part and group of each image.

    >>> leaking([("train", "cam1"), ("test", "cam1"), ("train", "cam2")])
    (LeakingGroup(group='cam1', splits=('train', 'test'), images=2),)
    """
    images: dict[str, Counter[str]] = defaultdict(Counter)
    for part, group in groups:
        images[group][part] += 1
    found = [
        LeakingGroup(group, tuple(part for part in PARTS if part in parts), parts.total())
        for group, parts in images.items()
        if len(parts) > 1
    ]
    return tuple(sorted(found, key=lambda one: (-one.images, one.group)))


def _groups(listings: dict[str, Listing], group_by: str | None) -> list[tuple[str, str]]:
    """Part and group of each image that belongs to one."""
    found: list[tuple[str, str]] = []
    for part, listing in listings.items():
        if group_by is not None:
            names: Sequence[str] = group_names(group_by, listing.ids, listing.columns)
        else:
            names = listing.groups or ()
        found += [(part, name) for name in names if name]
    return found


def _see(listings: dict[str, Listing], progress: Callable[[int, int], None]) -> _Seen:
    seen, total = _Seen(), sum(len(listing.ids) for listing in listings.values())
    for done, (part, identity, name, one) in enumerate(_looked(listings), 1):
        if isinstance(one, UnreadableError):
            seen.bad.append((identity, str(one)))
        else:
            seen.paths.append(identity)
            seen.parts.append(part)
            seen.classes.append(name)
            seen.looks.append(one)
        progress(done, total)
    return seen


def _looked(listings: dict[str, Listing]) -> Iterator[tuple[str, str, str, Look | UnreadableError]]:
    """Part, name, class and look of each image."""
    for part, listing in listings.items():
        names = (listing.class_names[c] for c in listing.targets.tolist())
        looks = in_threads(look, listing.fetch(np.arange(len(listing.ids))))
        for identity, name, one in zip(listing.ids, names, looks, strict=True):
            yield part, identity, name, one


def _counts(listings: dict[str, Listing], seen: _Seen) -> dict[str, dict[str, int]]:
    found = Counter(zip(seen.parts, seen.classes, strict=True))
    names = sorted({name for listing in listings.values() for name in listing.class_names})
    return {part: {name: found[part, name] for name in names} for part in listings}


def _held_out(seen: _Seen) -> dict[str, int]:
    """Test images of each class where HELD_OUT of it is held out; one image always stays in train."""
    return {
        name: min(int(HELD_OUT * count + 0.5), count - 1)
        for name, count in sorted(Counter(seen.classes).items())
    }


def _duplicates(seen: _Seen) -> tuple[Duplicates, ...]:
    found = [
        Duplicates(
            kind, *(tuple(names[row] for row in rows) for names in (seen.paths, seen.parts, seen.classes))
        )
        for kind, rows in duplicate_rows(seen.looks)
    ]
    return worst_first(found)


def _remarks(source: Source, listings: dict[str, Listing]) -> tuple[str, ...]:
    """What reading had to say, and class names that people would take for one."""
    alike: dict[str, set[str]] = defaultdict(set)
    for listing in listings.values():
        for name in listing.class_names:
            alike[_plain(name)].add(name)
    twins = [
        " and ".join(ascii(name) for name in sorted(names)) for names in alike.values() if len(names) > 1
    ]
    return (*source.remarks, *(f"class names that look alike: {names}" for names in twins))


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
