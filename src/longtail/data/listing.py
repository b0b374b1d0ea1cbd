"""What a source hands over: images listed with their classes, not yet decoded."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.data.left_out import LeftOut
from longtail.data.opening import Encoded
from longtail.data.options import Triple
from longtail.data.stored import StoredPixels
from longtail.errors import InputError

SPLITS = {  # split -> what its folders, files and rows may be called
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_TAILS = ("", "set", "data", "dataset", "images", "split")  # of such a name: `training_set`, `test images`
_PART = {name + tail: part for part, names in SPLITS.items() for name in names for tail in _TAILS}
PARTS = tuple(SPLITS)
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


def part_of(word: str) -> str | None:
    """The split that a word means, in any case; None for another word.

    >>> part_of("Validation"), part_of("test_set"), part_of("tester")
    ('val', 'test', None)
    """
    return _PART.get(re.sub(r"[\s_-]+", "", word.lower()))


def is_text(name: str) -> bool:
    """Whether a name is Unicode; one that comes from the bytes of a file's name may not be."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


@dataclass(frozen=True)
class Listing:
    """One split of a set as its source lists it.

    Attributes:
        class_names: the split's own class names, in label order.
        targets: (N,) positions in `class_names`.
        ids: N names.
        fetch: gives the encoded images at sorted rows, in that order.
        on_disk: gives the image at a row, where images may stay on disk: a file of its own, or stored pixels.
        sizes: (N, 2) height and width of each in pixels, where that is known and every image is known to be sound.
        groups: N names: images that must not be divided between splits share one; "" is an image by itself.
        columns: name -> N values of each column of the table that lists the images.
        contents: (N,) `content_number` of the encoded images, where it is known without reading them.
    """

    class_names: tuple[str, ...]
    targets: NDArray[np.int64]
    ids: tuple[str, ...]
    fetch: Callable[[NDArray[np.int64]], Iterable[Encoded]]
    on_disk: Callable[[int], Path | StoredPixels] | None = None
    sizes: NDArray[np.int64] | None = None
    groups: tuple[str, ...] | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    contents: NDArray[np.uint64] | None = None

    def __post_init__(self) -> None:
        if len(set(self.class_names)) < len(self.class_names):
            name = Counter(self.class_names).most_common(1)[0][0]
            raise InputError(f"two classes are both called {name!r}; give each a name of its own")

    def files(self) -> tuple[Path, ...] | None:
        """The file of each image; None where some image has none of its own."""
        if self.on_disk is None:
            return None
        found = list[Path]()
        for row in range(len(self.ids)):
            if not isinstance(image := self.on_disk(row), Path):
                return None
            found.append(image)
        return tuple(found)


@dataclass(frozen=True)
class Source:
    """A set as found.

    Attributes:
        train: the pool of training images.
        val: its own validation split.
        test: its test split.
        image_size: its own side in pixels.
        mean: its own mean.
        std: its own deviation.
        max_count: its own largest class for a long tail; None: the largest there is.
        is_flat: it knows no splits; `train` is all of it.
        bits: as how many the values of its images of 16 bits were read when it was packed; None: none, or not packed.
        num_train: training images of the whole published set; None: unknown.
        remarks: what is odd about it.
        reading: how it was read, where there was a choice.
        left_out: what was found and is not used, by reason.
        grouped_by: where its groups come from, in words; None: it has none, or says nothing of them.
    """

    train: Listing | None
    val: Listing | None = None
    test: Listing | None = None
    image_size: int = 32
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    max_count: int | None = None
    is_flat: bool = False
    bits: int | None = None
    num_train: int | None = None
    remarks: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    grouped_by: str | None = None

    @property
    def parts(self) -> dict[str, Listing]:
        """Split -> its listing, of the splits that there are."""
        found = {"train": self.train, "val": self.val, "test": self.test}
        return {part: listing for part, listing in found.items() if listing is not None}

    def files(self) -> tuple[Path, ...] | None:
        """The file of each image of all splits, by which a table divides them; None where it cannot."""
        found = list[Path]()
        for listing in self.parts.values():
            if (files := listing.files()) is None:
                return None
            found += files
        return tuple(found)
