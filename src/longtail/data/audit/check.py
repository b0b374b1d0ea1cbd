"""`longtail data check`: see every image of a set once, and tell what is wrong with it before training."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.data.audit.duplicates import find_duplicates
from longtail.data.audit.findings import Audit, LeakingGroup, worst_first
from longtail.data.audit.look import Look, look
from longtail.data.depth import Depth, depth_of
from longtail.data.fingerprint import Fingerprints
from longtail.data.grouping import said_of_spanning
from longtail.data.holdout import HELD_OUT, hold_out, said_of_groups
from longtail.data.listing import PARTS, Listing, Source
from longtail.data.name_groups import find_name_groups
from longtail.data.opening import UnreadableError
from longtail.data.related import find_related
from longtail.data.rows import ordered
from longtail.data.shapes import Shapes, shapes_of
from longtail.data.source_kinds import options_of, read_source
from longtail.data.threads import in_threads


@dataclass
class _Seen:
    """The images of all splits, one after the other."""

    paths: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
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
    options = options_of(path, root, "leave_out").model_copy(update={"group_by": group_by})
    source = read_source(options)
    listings = source.parts
    groups = _groups(listings)
    seen = _see(listings, progress)
    depth, shapes = _depth(seen), _shapes(seen)
    is_whole = list(listings) == ["train"]
    held, shares, bursts, rows = _held_out(seen, listings["train"], source) if is_whole else ({}, [], 0, ())
    is_divisible = source.files() is not None
    is_open = is_divisible and not (groups or group_by)
    by_name = find_name_groups(seen.paths, seen.classes, _tested(seen, rows)) if is_open else None
    return Audit(
        counts=_counts(listings, seen),
        is_flat=source.is_flat,
        is_divisible=is_divisible,
        held_out=held,
        unreadable=tuple(seen.bad),
        repaired=tuple(
            (p, one.ignored) for p, one in zip(seen.paths, seen.looks, strict=True) if one.ignored
        ),
        suspicious=tuple((p, odd) for p, one in zip(seen.paths, seen.looks, strict=True) for odd in one.odd),
        duplicates=worst_first(find_duplicates(seen.looks, seen.paths, seen.parts, seen.classes)),
        leaking_groups=leaking(groups),
        num_groups=len({group for _, group in groups}) if groups else None,
        remarks=(
            *source.reading,
            *source.remarks,
            *depth.lines(),
            *shares,
            *([by_name.said()] if by_name else []),
            *(shapes.lines() if shapes else ()),
        ),
        left_out=source.left_out,
        bits=source.bits or depth.bits,
        shapes=shapes,
        bursts=bursts,
        name_groups=by_name,
    )


def leaking(groups: Sequence[tuple[str, str]]) -> tuple[LeakingGroup, ...]:
    """The groups with images in several splits, the largest first.

    Args:
        groups: split and group of each image.

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


def _groups(listings: dict[str, Listing]) -> list[tuple[str, str]]:
    """Part and group of each image that belongs to one."""
    found: list[tuple[str, str]] = []
    for part, listing in listings.items():
        found += [(part, name) for name in listing.groups or () if name]
    return found


def _see(listings: dict[str, Listing], progress: Callable[[int, int], None]) -> _Seen:
    seen, total = _Seen(), sum(len(listing.ids) for listing in listings.values())
    for done, (part, identity, name, group, one) in enumerate(_looked(listings), 1):
        if isinstance(one, UnreadableError):
            seen.bad.append((identity, one.reason))
        else:
            seen.paths.append(identity)
            seen.parts.append(part)
            seen.classes.append(name)
            seen.groups.append(group)
            seen.looks.append(one)
        progress(done, total)
    return seen


def _looked(listings: dict[str, Listing]) -> Iterator[tuple[str, str, str, str, Look | UnreadableError]]:
    """Part, name, class, group and look of each image."""
    for part, listing in listings.items():
        names = (listing.class_names[c] for c in listing.targets.tolist())
        looks = in_threads(look, listing.fetch(np.arange(len(listing.ids))))
        groups = listing.groups or ("",) * len(listing.ids)
        for identity, name, group, one in zip(listing.ids, names, groups, looks, strict=True):
            yield part, identity, name, group, one


def _counts(listings: dict[str, Listing], seen: _Seen) -> dict[str, dict[str, int]]:
    found = Counter(zip(seen.parts, seen.classes, strict=True))
    names = ordered(name for listing in listings.values() for name in listing.class_names)
    return {part: {name: found[part, name] for name in names} for part in listings}


def _tested(seen: _Seen, held: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each image is evaluated on: those of other splits than train, and the rows that would be held out."""
    tested = np.array([part != "train" for part in seen.parts], dtype=bool)
    tested[list(held)] = True
    return tested


def _held_out(
    seen: _Seen, train: Listing, source: Source
) -> tuple[dict[str, int], list[str], int, Sequence[int]]:
    """Images of each class that training would hold out, what to say of what stays together, bursts, and their rows."""
    readable = set(seen.classes)
    position = {name: c for c, name in enumerate(name for name in train.class_names if name in readable)}
    if not position:
        return {}, [], 0, ()
    targets = np.array([position[name] for name in seen.classes], dtype=np.int64)
    contents = np.array([int.from_bytes(one.content[:8], "big") for one in seen.looks], dtype=np.uint64)
    groups = None if train.groups is None else seen.groups
    prints = Fingerprints.of(one.fingerprint for one in seen.looks)
    together = find_related(groups, contents, prints, seen.paths, targets)
    _, held = hold_out(targets, len(position), HELD_OUT, 0, together.groups)
    got = np.bincount(targets[held], minlength=len(position))
    lines = [*together.said(seen.paths), *said_of_spanning(groups or (), seen.classes if groups else ())]
    if together.groups is not None:
        by = None if train.groups is None else source.grouped_by or "the set itself"
        said = said_of_groups(list(position), targets, together.groups, got, HELD_OUT, by)
        lines += [line for lines_of_one in said for line in lines_of_one]
    return dict(zip(position, got.tolist(), strict=True)), lines, len(together.bursts), held.tolist()


def _depth(seen: _Seen) -> Depth:
    """As training would find it, of the images to train on."""
    looks = [one for part, one in zip(seen.parts, seen.looks, strict=True) if part == "train"]
    return depth_of([one.largest for one in looks if one.largest is not None], None)


def _shapes(seen: _Seen) -> Shapes | None:
    """Of the images to train on, or of all where there are none."""
    rows = [row for row, part in enumerate(seen.parts) if part == "train"] or range(len(seen.parts))
    sizes = np.array([seen.looks[row].size for row in rows], dtype=np.int64).reshape(-1, 2)
    return shapes_of(sizes, [seen.paths[row] for row in rows])
