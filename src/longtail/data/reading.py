"""From rows of a listing to the images of a split: in memory, or on disk where that would be too much."""

import numpy as np
import torch
from numpy.typing import NDArray

from longtail.data.dataset import Split
from longtail.data.depth import depth_of
from longtail.data.files import ImageFiles
from longtail.data.fingerprint import Fingerprints, take_fingerprint
from longtail.data.framing import framing_of
from longtail.data.images import Checked, Decoded, check_all, decode_all
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
    with_prints: bool = False,
) -> Split:
    """Read rows of a listing. What is too large for memory, or wanted as it is, stays on disk where it can.

    Args:
        listing: what they are rows of.
        targets: class of each row of the listing.
        rows: which of them.
        options: how, with the image size and the mean settled; `bits` None: as many as these images need.
        keep_on_disk: leave them there.
        with_prints: also take their fingerprints.
    """
    size, bits = options.image_size or 32, options.bits
    framing = framing_of(options.fit, options.mean or IMAGENET_MEAN)
    too_large = len(rows) * 3 * size * size > MEMORY_LIMIT
    known = None if listing.contents is None else listing.contents[rows]
    found: Checked | Decoded
    images: torch.Tensor | ImageFiles
    if listing.on_disk is not None and (keep_on_disk or too_large):
        found = _checked(listing, rows, known, with_prints)
        kept, depth = np.delete(np.arange(len(rows)), list(found.bad)), depth_of(found.largest.values(), bits)
        images = ImageFiles(
            listing.on_disk, rows[kept], found.sizes, size, options.draft, depth.bits, framing
        )
    else:
        found = decode_all(
            listing.fetch(rows),
            len(rows),
            size,
            hashed=known is None,
            bits=bits or 16,
            framing=framing,
            with_prints=with_prints,
        )
        kept, depth = np.delete(np.arange(len(rows)), list(found.bad)), depth_of(found.largest.values(), bits)
        images = found.images
        if bits is None and depth.bits < 16:  # known only now
            deep = np.array(list(found.largest))
            again = decode_all(listing.fetch(rows[deep]), len(deep), size, bits=depth.bits, framing=framing)
            images[torch.from_numpy(np.searchsorted(kept, deep))] = again.images
    contents = found.contents if known is None else known[kept]
    ids = tuple(listing.ids[row] for row in rows[kept])
    unreadable, damaged = (
        tuple((listing.ids[rows[position]], what) for position, what in said.items())
        for said in (found.bad, found.repaired)
    )
    groups = None if listing.groups is None else tuple(listing.groups[row] for row in rows[kept])
    labels = torch.from_numpy(targets[rows[kept]])
    return Split(
        images, labels, ids, unreadable, damaged, depth, groups=groups, contents=contents, sizes=found.sizes,
        prints=found.prints,
    )  # fmt: skip


def _checked(
    listing: Listing, rows: NDArray[np.int64], contents: NDArray[np.uint64] | None, with_prints: bool
) -> Checked:
    """Images that stay on disk; of those that are known to be sound nothing is decoded but for fingerprints."""
    if listing.sizes is None:
        return check_all(listing.fetch(rows), with_prints=with_prints)
    prints = (
        Fingerprints.of(take_fingerprint(image) for image in listing.fetch(rows)) if with_prints else None
    )
    return Checked(listing.sizes[rows], {}, contents, {}, {}, prints)
