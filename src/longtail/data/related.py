"""Which images of a pool are not independent and stay in one split: groups, copies, near duplicates, bursts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from longtail.data.bursts import find_bursts
from longtail.data.copies import kept_together
from longtail.data.dataset import counted
from longtail.data.fingerprint import Fingerprints
from longtail.data.near import alike

LARGEST = 50  # images of a group that near duplicates may make
FEW = 3  # images of a group that may be more than half of a class; larger ones are what the class looks like
WITHOUT = "--no-group-copies"


class Related(NamedTuple):
    """What belongs together among N images.

    Attributes:
        groups: N names, equal for images that stay in one split; None: each is by itself.
        near_duplicates: rows of each set of images that look alike and are kept together, the first of copies alone.
        bursts: rows of each burst.
        too_large: rows of each set of near duplicates that is not kept together, and how many images the group would
            have had, with copies and what else belongs to it.
        one_time: rows of the sets that would be bursts, had their camera a clock that was set.
    """

    groups: Sequence[str] | None
    near_duplicates: list[list[int]]
    bursts: list[list[int]]
    too_large: list[tuple[list[int], int]]
    one_time: list[list[int]]

    def said(self, names: Sequence[str]) -> list[str]:
        """What to say of it, with an example each.

        Args:
            names: N names.
        """
        lines = [
            f"{counted(len({row for rows in sets for row in rows}), 'image')} {what.format(counted(len(sets), noun))} "
            f"({names[sets[0][0]]}{sign}{names[sets[0][-1]]}), kept in one split; to divide them too: {WITHOUT}"
            for sets, noun, sign, what in (
                (self.near_duplicates, "set", " = ", "look alike, in {}"),
                (self.bursts, "burst", " to ", "were taken in one go, in {} by time and name"),
            )
            if sets
        ]
        if self.too_large:
            rows, images = max(self.too_large, key=lambda one: one[1])
            such = f"{names[rows[0]]} = {names[rows[-1]]}, a group of {images:,}"
            lines.append(
                f"{counted(len(self.too_large), 'set')} of near duplicates would make groups of more than {LARGEST} "
                f"images or half a class (such as {such}): not kept together"
            )
        if self.one_time:
            largest = max(self.one_time, key=len)
            lines.append(
                f"{counted(sum(map(len, self.one_time)), 'image')} have the one time of a clock that was never set "
                f"(such as {names[largest[0]]} to {names[largest[-1]]}): not kept together as bursts"
            )
        return lines


NOTHING_DIVIDED = Related(None, [], [], [], [])


def find_related(
    groups: Sequence[str] | None,
    contents: NDArray[np.generic] | None,
    prints: Fingerprints | None,
    names: Sequence[str],
    targets: NDArray[np.int64],
) -> Related:
    """What belongs together.

    Groups and copies stay whole, whatever their size; bursts join them. A set of near duplicates has one image that all
    others look like (see `alike`), and what it joins holds at most LARGEST images and, of more than FEW, half of each
    class: so no chain of sets becomes one group, and classes whose images all look alike are divided like others.

    Args:
        groups: N names, "" for an image by itself; None where there are none.
        contents: (N,) what each image is made of, equal for copies alone; None where that is not known.
        prints: of the N images; None: neither near duplicates nor bursts are looked for.
        names: N paths.
        targets: (N,) classes, as numbers from 0.
    """
    groups = kept_together(groups, contents)
    if prints is None:
        return Related(groups, [], [], [], [])
    known: dict[str | int, int] = {}
    labels = [known.setdefault((groups[row] if groups else "") or row, row) for row in range(len(names))]
    union = _Union(np.array(labels, dtype=np.int64), targets)
    bursts, one_time = find_bursts(names, prints.taken, prints.cameras)
    for rows in bursts:
        union.join(rows)
    same = np.arange(len(names)) if contents is None else np.unique(contents, return_inverse=True)[1]
    sets = (_different(rows, same) for rows in alike(prints.hashes, prints.thumbs))
    near = [rows for rows in sets if len(rows) > 1]
    refused = [union.join_small(rows) for rows in near]
    kept = [rows for rows, images in zip(near, refused, strict=True) if not images]
    too_large = [(rows, images) for rows, images in zip(near, refused, strict=True) if images]
    joined = [str(label) for label in union.labels.tolist()] if bursts or kept else groups
    return Related(joined, kept, bursts, too_large, one_time)


def _different(rows: Sequence[int], same: NDArray[np.int64]) -> list[int]:
    """The first of each set of copies among some rows; the others are with it anyway."""
    first = np.unique(same[list(rows)], return_index=True)[1]
    return [rows[at] for at in sorted(first.tolist())]


class _Union:
    """Rows with labels, of which several become one."""

    def __init__(self, labels: Int64[np.ndarray, " n"], targets: Int64[np.ndarray, " n"]) -> None:
        self.labels, self.targets, self.sizes = labels, targets, np.bincount(targets)
        order = np.argsort(labels, kind="stable")
        edges = np.flatnonzero(np.diff(labels[order])) + 1
        self.members = {int(labels[rows[0]]): rows for rows in np.split(order, edges) if len(rows)}

    def join(self, rows: Sequence[int]) -> None:
        """Give all images of these rows' labels one label."""
        first, *others = sorted(set(self.labels[list(rows)].tolist()))
        together = np.concatenate([self.members[first], *(self.members.pop(label) for label in others)])
        self.members[first] = together
        self.labels[together] = first

    def join_small(self, rows: Sequence[int]) -> int:
        """`join`, where that makes no group that is too large; else how many images it would have, and 0 if joined."""
        found = set(self.labels[list(rows)].tolist())
        together = np.concatenate([self.members[label] for label in found])
        if len(found) > 1 and len(together) > FEW:
            shares = np.bincount(self.targets[together], minlength=len(self.sizes))
            if len(together) > LARGEST or (2 * shares > self.sizes).any():
                return len(together)
        self.join(rows)
        return 0
