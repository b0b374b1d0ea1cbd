"""From rows of a listing to the images of a part: in memory, or on disk where that would be too much."""

import numpy as np
import torch
from numpy.typing import NDArray

from longtail.data.dataset import Split
from longtail.data.depth import depth_of
from longtail.data.files import ImageFiles
from longtail.data.framing import framing_of
from longtail.data.images import check_all, decode_all
from longtail.data.listing import IMAGENET_MEAN, Listing
from longtail.data.options import DataOptions

MEMORY_LIMIT = 2**30


def read_split(
    listing: Listing,
    targets: NDArray[np.int64],
    rows: NDArray[np.int64],
    options: DataOptions,
    *,
    keep_on_disk: bool = False,
) -> Split:
    """Read rows of a listing. What is too large for memory, or wanted as it is, stays on disk where it can.

    Args:
        listing: what they are rows of.
        targets: class of each row of the listing.
        rows: which of them.
        options: how, with the image size and the mean settled; `bits` None: as many as these images need.
        keep_on_disk: leave them there.
    """
    size, bits = options.image_size or 32, options.bits
    framing = framing_of(options.fit, options.mean or IMAGENET_MEAN)
    too_large = len(rows) * 3 * size * size > MEMORY_LIMIT
    contents = None if listing.contents is None else listing.contents[rows]
    bad, repaired, largest = dict[int, str](), dict[int, str](), dict[int, int]()
    if listing.on_disk is not None and (keep_on_disk or too_large):
        if listing.sizes is None:
            sizes, bad, contents, repaired, largest = check_all(listing.fetch(rows))
        else:
            sizes = listing.sizes[rows]
        kept = np.delete(np.arange(len(rows)), list(bad))
        depth = depth_of(largest.values(), bits)
        images: torch.Tensor | ImageFiles = ImageFiles(
            listing.on_disk, rows[kept], sizes, size, options.draft, depth.bits, framing
        )
    else:
        images, bad, found, repaired, largest, sizes = decode_all(
            listing.fetch(rows), len(rows), size, hashed=contents is None, bits=bits or 16, framing=framing
        )
        kept = np.delete(np.arange(len(rows)), list(bad))
        depth = depth_of(largest.values(), bits)
        if bits is None and depth.bits < 16:  # known only now
            deep = np.array(list(largest))
            again = decode_all(listing.fetch(rows[deep]), len(deep), size, bits=depth.bits, framing=framing)
            images[torch.from_numpy(np.searchsorted(kept, deep))] = again.images
        contents = found if contents is None else contents[kept]
    ids = tuple(listing.ids[row] for row in rows[kept])
    unreadable, damaged = (
        tuple((listing.ids[rows[position]], what) for position, what in found.items())
        for found in (bad, repaired)
    )
    groups = None if listing.groups is None else tuple(listing.groups[row] for row in rows[kept])
    labels = torch.from_numpy(targets[rows[kept]])
    return Split(
        images, labels, ids, unreadable, damaged, depth, groups=groups, contents=contents, sizes=sizes
    )
