"""Groups that file names seem to hold, such as a camera or a patient: found and proposed, never applied."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from longtail.data.dataset import counted
from longtail.data.grouping import group_names
from longtail.errors import InputError

LEAST = 5  # groups; of fewer a division is hardly possible
SHARED = 0.8  # share of the images that must stand in groups of two or more
LARGEST = 0.5  # share of the images that one group may hold
CONSTANT = (
    0.9  # share of the images with their group's commonest label, from which on plain numbers are groups
)
SEVERAL = 4  # images of one class in a group, from which on it is more than a number that each class has
_SHOWN = 3
_WORD = r"[^/_-]+"  # between the separators of a name


@dataclass(frozen=True)
class NameGroups:
    """A rule that gives groups, what these are like, and what the division at hand does to them.

    Attributes:
        rule: for `--group-by`.
        names: the group of each of N images.
        spanning: how many groups have images of several classes.
        tested: how many images are evaluated on.
        shared: how many of these share a group with training images.
    """

    rule: str
    names: tuple[str, ...]
    spanning: int
    tested: int
    shared: int

    def said(self) -> str:
        """What was found.

        >>> NameGroups("x", ("a", "a", "b", "b"), 1, 1, 1).said()[:47]
        'file names suggest 2 groups (a 2, b 2), 1 with '
        """
        sizes = Counter(self.names)
        shown = ", ".join(f"{name} {size:,}" for name, size in sizes.most_common(_SHOWN))
        more = ", ..." if len(sizes) > _SHOWN else ""
        wide = f", {self.spanning:,} with images of several classes" if self.spanning else ""
        return (
            f"file names suggest {counted(len(sizes), 'group')} ({shown}{more}){wide}; where these are not kept "
            f"together, {self.shared:,} of {self.tested:,} images to evaluate on share one with training images"
        )


def find_name_groups(
    ids: Sequence[str], labels: Sequence[str], tested: NDArray[np.bool_]
) -> NameGroups | None:
    """The groups that paths seem to hold; None where nothing is recognisable, or each lies in one split already.

    A folder below the class, the first words of the name (up to three), or its last: the first of these that makes
    five groups or more, of which none holds more than half of the images, with four of five images in groups of two or
    more, and that gives at least every second class several groups: a word that is the class itself is none. Such
    groups have nearly one label each; or they are called by letters and digits (`cam01`, `patient_12`), and most images
    have three others of their class in the group: fewer may be pictures that are numbered again in each folder
    (`img12`).

    Args:
        ids: N paths with `/`.
        labels: N classes.
        tested: (N,) whether an image is evaluated on.

    >>> ids = [f"{name}/cam{n % 6}_{n}.jpg" for name in ("fox", "owl") for n in range(24)]
    >>> find_name_groups(ids, ["fox"] * 24 + ["owl"] * 24, np.arange(48) == 0).rule
    'regex:(cam[0-9]+)_[^/]*$'
    """
    for rule in _rules(ids):
        try:
            names = group_names(rule, ids, {})
        except InputError:  # it does not fit every image
            continue
        held: dict[str, Counter[str]] = defaultdict(Counter)
        for name, label in zip(names, labels, strict=True):
            held[name][label] += 1
        if _are_groups(held, len(ids)):
            spanning, shared = sum(len(classes) > 1 for classes in held.values()), _shared(names, tested)
            return NameGroups(rule, tuple(names), spanning, int(tested.sum()), shared) if shared else None
    return None


def _shared(names: Sequence[str], tested: NDArray[np.bool_]) -> int:
    """How many images that are evaluated on share a group with training images."""
    rows = list(zip(names, tested.tolist(), strict=True))
    trained = {name for name, is_tested in rows if not is_tested}
    return sum(is_tested and name in trained for name, is_tested in rows)


def _rules(ids: Sequence[str]) -> Iterator[str]:
    """What is tried, in order."""
    if all(len(PurePosixPath(path).parts) > 2 for path in ids):
        yield "folder:2"
    stems = [PurePosixPath(path).stem for path in ids]
    for words in (1, 2, 3):
        start = "[_-]".join([_WORD] * words)
        found = [match for stem in stems if (match := re.match(f"({start})([_-])", stem))]
        if not found:
            break
        shape, count = Counter((_shape(match[1]), match[2]) for match in found).most_common(1)[0]
        if count > len(ids) / 2 and "[0-9]" in shape[0]:
            yield f"regex:({shape[0]}){shape[1]}[^/]*$"
        yield f"regex:({start})[^/]*$"
    yield rf"regex:[_-]({_WORD})[.][^./]+$"


def _shape(words: str) -> str:
    """A pattern of the same letters and any numbers."""
    return re.sub("[0-9]+", "[0-9]+", re.sub(r"[^\w-]", lambda match: re.escape(match[0]), words))


def _are_groups(held: dict[str, Counter[str]], images: int) -> bool:
    sizes = [classes.total() for classes in held.values()]
    if len(held) < LEAST or max(sizes) > LARGEST * images:
        return False
    if sum(size for size in sizes if size > 1) < SHARED * images or images < 2 * len(held):
        return False
    groups_of = Counter(name for classes in held.values() for name in classes)
    if 2 * sum(count > 1 for count in groups_of.values()) < len(groups_of):
        return False
    common = sum(max(classes.values()) for classes in held.values())
    several = sum(n for classes in held.values() for n in classes.values() if n >= SEVERAL)
    named = all(re.search("[^0-9_-]", group) for group in held) and any(map(str.isdigit, "".join(held)))
    return common >= CONSTANT * images or (named and 2 * several > images)
