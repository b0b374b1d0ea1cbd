"""Which images go to train, validation and test: class by class, and whole groups where there are groups."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.data.dataset import counted

TRAIN, VAL, TEST = 0, 1, 2
FAR, LEAST = 0.25, 2  # share of what was wanted, and images, by which a class is far from it
SHOWN = 3  # classes that are named, and sizes of groups
_STREAM = 0x73706C6974  # keeps these draws apart from others that use the same seed


def assign(
    targets: NDArray[np.int64],
    num_classes: int,
    *,
    test: float = 0.0,
    val: float = 0.0,
    min_test: int = 1,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """The split of each image, a function of the arguments alone.

    Of a class with n images, round(test * n) are wanted for test, and at least `min_test` as far as these are no
    more than half of it; round(val * n) for validation; one image at least stays in train. Without groups that is
    what comes out. With groups, all begin in train and are moved whole: from the class with the fewest groups on, in
    a random order, a group goes to test or validation if that brings the numbers of all its classes nearer to what is
    wanted; then the smallest ones, until the class has its minimum of test images. No group leaves that is the last in
    train of one of its classes, so a class of one group stays in train.

    Args:
        targets: (N,) class of each image, in [0, C).
        num_classes: C.
        test: share of each class, in [0, 1); 0: no test split.
        val: share of each class, in [0, 1).
        min_test: images, >= 0.
        groups: N names; "" is an image by itself. None: every image is.
        seed: >= 0.

    Returns:
        (N,) TRAIN, VAL or TEST.
    """
    sizes = np.bincount(targets, minlength=num_classes)
    wanted, least = wanted_of(sizes, test, val, min_test)
    if groups is None:
        return _by_image(targets, wanted, seed)
    number = _numbered(groups)
    return _Groups(targets, number, num_classes).divide(wanted, least, seed)[number]


def wanted_of(
    sizes: NDArray[np.int64], test: float, val: float, min_test: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(3, C) images of each class wanted in each split, and (C,) the least that are in test; see `assign`.

    Args:
        sizes: (C,) images of each class.
        test: as of `assign`.
        val: as of `assign`.
        min_test: as of `assign`.
    """
    least = np.minimum(min(min_test, int(sizes.sum())), sizes // 2) if test > 0 else np.zeros_like(sizes)
    wanted = np.zeros((3, len(sizes)), dtype=np.int64)
    wanted[TEST] = np.maximum(np.minimum((test * sizes + 0.5).astype(np.int64), sizes - 1), least)
    wanted[VAL] = np.minimum((val * sizes + 0.5).astype(np.int64), sizes - 1 - wanted[TEST])
    return np.maximum(wanted, 0), least


def far_from_wanted(
    names: Sequence[str],
    targets: NDArray[np.int64],
    groups: Sequence[str],
    wanted: NDArray[np.int64],
    got: NDArray[np.int64],
    part: str,
) -> list[str]:
    """What to say of classes whose split is not as large as was wanted: by a quarter of that and two images or more.

    Args:
        names: C names.
        targets: (N,) class of each image, in [0, C).
        groups: N names of what stays together, "" for an image by itself.
        wanted: (C,) images, whole ones, so that rounding alone never counts.
        got: (C,) images, some of them 0; a class without any is not among those that are named.
        part: what they are called.

    >>> owners, groups = np.array([0] * 10 + [1] * 5), [*"aaaabbbcde", *"aaijk"]
    >>> far_from_wanted(["fox", "owl"], owners, groups, np.array([2, 1]), np.array([4, 2]), "test")[0][-65:]
    'stay together: fox (asked 2 of 10, got 4; groups of 6, 3, 1, ...)'
    """
    sizes = np.bincount(targets, minlength=len(names))
    away = np.abs(got - wanted)
    far = np.flatnonzero((away >= LEAST) & (away >= FAR * wanted) & (got > 0))
    rows = far[np.argsort(-away[far] / np.maximum(1, wanted[far]), kind="stable")].tolist()
    if not rows:
        return []
    number = _numbered(groups)
    examples = [
        f"{names[c]} (asked {wanted[c]:,} of {sizes[c]:,}, got {got[c]:,}; {_largest(number, targets == c)})"
        for c in rows[:SHOWN]
    ]
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return [
        f"{counted(len(rows), 'class')} {'has' if len(rows) == 1 else 'have'} a share of {part} images far from what "
        f"was asked, as groups or copies stay together: {', '.join(examples)}{more}"
    ]


def _largest(number: NDArray[np.int64], rows: NDArray[np.bool_]) -> str:
    """The sizes of the largest groups with some images, all other images of these groups included."""
    sizes = sorted(np.bincount(number)[np.unique(number[rows])].tolist(), reverse=True)
    return f"groups of {', '.join(map(str, sizes[:SHOWN]))}{', ...' * (len(sizes) > SHOWN)}"


def _by_image(targets: NDArray[np.int64], wanted: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    parts = np.full(len(targets), TRAIN)
    for c in range(wanted.shape[1]):
        rows = np.random.default_rng([_STREAM, seed, c]).permutation(np.flatnonzero(targets == c))
        stop = wanted[TEST, c] + wanted[VAL, c]
        parts[rows[: wanted[TEST, c]]] = TEST
        parts[rows[wanted[TEST, c] : stop]] = VAL
    return parts


def _numbered(groups: Sequence[str]) -> NDArray[np.int64]:
    """A number for each group, in the order in which they come; each image without a group has its own."""
    known: dict[str | int, int] = {}
    return np.array([known.setdefault(group or row, len(known)) for row, group in enumerate(groups)])


class _Groups:
    """Groups on their way out of train."""

    def __init__(self, targets: NDArray[np.int64], number: NDArray[np.int64], num_classes: int) -> None:
        pairs, counts = np.unique(np.stack([number, targets]), axis=1, return_counts=True)
        starts = np.searchsorted(pairs[0], np.arange(pairs[0, -1] + 2))
        spans = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
        self.classes = [pairs[1, start:stop] for start, stop in spans]
        self.counts = [counts[start:stop] for start, stop in spans]
        self.of_class: dict[int, list[tuple[int, int]]] = defaultdict(list)  # (group, images of the class)
        for group, c, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
            self.of_class[c].append((group, count))
        self.parts = np.full(len(spans), TRAIN)
        self.in_train = np.bincount(pairs[1], minlength=num_classes)  # groups of each class
        self.got = np.zeros((3, num_classes), dtype=np.int64)

    def divide(self, wanted: NDArray[np.int64], least: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """The split of each group."""
        rng = np.random.default_rng([_STREAM, seed])
        for c in sorted(self.of_class, key=lambda c: (len(self.of_class[c]), c)):
            drawn = [self.of_class[c][position] for position in rng.permutation(len(self.of_class[c]))]
            for part in (TEST, VAL):
                for group, _ in drawn:
                    if self.got[part, c] < wanted[part, c] and self._brings_nearer(group, part, wanted):
                        self._move(group, part)
                if part == TEST:
                    for group, _ in sorted(drawn, key=lambda pair: pair[1]):
                        if self.got[TEST, c] < least[c]:
                            self._move(group, TEST)
        return self.parts

    def _brings_nearer(self, group: int, part: int, wanted: NDArray[np.int64]) -> bool:
        missing = (wanted[part] - self.got[part])[self.classes[group]]
        return bool(np.abs(missing - self.counts[group]).sum() < np.abs(missing).sum())

    def _move(self, group: int, part: int) -> None:
        """Take a group out of train, unless it is elsewhere already or one of its classes has no other there."""
        classes = self.classes[group]
        if self.parts[group] == TRAIN and np.all(self.in_train[classes] > 1):
            self.parts[group] = part
            self.in_train[classes] -= 1
            self.got[part, classes] += self.counts[group]
