"""Which of a model's classes the images of a split belong to: classes are matched by name."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from longtail.data.dataset import Split
from longtail.data.listing import Listing


def by_name(listing: Listing, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Targets as positions in `class_names`, -1 for a class that is not among them."""
    position = {name: c for c, name in enumerate(class_names)}
    moved = np.array([position.get(name, -1) for name in listing.class_names], dtype=np.int64)
    return moved[listing.targets]


def present(class_names: Sequence[str], targets: NDArray[np.int64]) -> tuple[str, ...]:
    """The classes that have images."""
    counts = np.bincount(targets, minlength=len(class_names))
    return tuple(name for name, count in zip(class_names, counts, strict=True) if count)


def absent(split: Split | None, class_names: Sequence[str]) -> tuple[str, ...]:
    """The classes without an image in a split; none where there is no split."""
    if split is None:
        return ()
    there = set(split.targets.tolist())
    return tuple(name for c, name in enumerate(class_names) if c not in there)


def with_one_image(pool: Split, class_names: Sequence[str]) -> tuple[str, ...]:
    """The classes with one image."""
    counts = torch.bincount(pool.targets, minlength=len(class_names)).tolist()
    return tuple(name for name, count in zip(class_names, counts, strict=True) if count == 1)
