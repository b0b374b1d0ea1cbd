"""From rows of a listing to the images of a part: in memory, or on disk where that would be too much."""

import numpy as np
import torch
from numpy.typing import NDArray

from longtail.data.dataset import Split
from longtail.data.files import ImageFiles
from longtail.data.images import check_all, decode_all
from longtail.data.listing import Listing

MEMORY_LIMIT = 2**30


def read_split(
    listing: Listing,
    targets: NDArray[np.int64],
    rows: NDArray[np.int64],
    size: int,
    *,
    keep_on_disk: bool = False,
    draft: bool = False,
) -> Split:
    """Read rows of a listing. What is too large for memory, or wanted as it is, stays on disk where it can."""
    too_large = len(rows) * 3 * size * size > MEMORY_LIMIT
    contents = None if listing.contents is None else listing.contents[rows]
    bad, repaired = dict[int, str](), dict[int, str]()
    if listing.on_disk is not None and (keep_on_disk or too_large):
        if listing.sizes is None:
            sizes, bad, contents, repaired = check_all(listing.fetch(rows))
        else:
            sizes = listing.sizes[rows]
        kept = np.delete(np.arange(len(rows)), list(bad))
        images: torch.Tensor | ImageFiles = ImageFiles(listing.on_disk, rows[kept], sizes, size, draft)
    else:
        images, bad, found, repaired = decode_all(
            listing.fetch(rows), len(rows), size, hashed=contents is None
        )
        kept = np.delete(np.arange(len(rows)), list(bad))
        contents = found if contents is None else contents[kept]
    ids = tuple(listing.ids[row] for row in rows[kept])
    unreadable, damaged = (
        tuple((listing.ids[rows[position]], what) for position, what in found.items())
        for found in (bad, repaired)
    )
    groups = None if listing.groups is None else tuple(listing.groups[row] for row in rows[kept])
    labels = torch.from_numpy(targets[rows[kept]])
    return Split(images, labels, ids, unreadable, damaged, groups=groups, contents=contents)
