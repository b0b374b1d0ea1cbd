"""Small pictures of the run's own images, made again, so that nothing but their pixels reaches the page."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from longtail.data import DataOptions
from longtail.data.framing import CROP, Framing, framed, framing_of
from longtail.data.images import decode_small
from longtail.data.listing import Listing
from longtail.data.opening import UnreadableError
from longtail.data.source_kinds import read_source
from longtail.data.threads import in_threads
from longtail.machine import pass_on
from longtail.records import check_record
from longtail.report.limits import AGAIN
from longtail.report.parts import SIDE, Thumbnail
from longtail.runs import layout
from longtail.runs.folder import RESTORE
from longtail.runs.run import SPLITS, Run
from longtail.runs.schema import AuditRecord
from longtail.types import InputError

_QUALITY = 70


@dataclass
class Thumbnails:
    """The pictures that a page shows.

    Attributes:
        found: id of an image -> its picture.
        trouble: why there are none, or not all, in a sentence; empty where all is well.
    """

    found: dict[str, Thumbnail] = field(default_factory=dict)
    trouble: str = ""

    def get(self, image: str) -> Thumbnail | None:
        return self.found.get(image)


def load_thumbnails(run: Run, images: Iterable[str]) -> Thumbnails:
    """Make a picture of each image that can be found.

    Args:
        run: its recipe says where the images are.
        images: ids as in predictions.parquet.

    Returns:
        The pictures. Images that cannot be reached are missing, and `trouble` says so.
    """
    wanted = dict.fromkeys(images)
    if not wanted:
        return Thumbnails()
    if run.split not in (None, *SPLITS):
        return Thumbnails(trouble="Images that were given with --data are not shown.")
    try:
        listings, framing = _listings(run)
    except (InputError, OSError) as error:
        pass_on(error)
        return Thumbnails(trouble="The images are no longer where they were at training, so none are shown.")
    found = Thumbnails()
    audit = run.read(layout.AUDIT, AGAIN) or AuditRecord()
    for listing in listings:
        _add(found, listing, wanted.keys(), audit.bits, framing)
    missing = len(wanted) - len(found.found)
    if missing:
        noun = "image" if missing == 1 else "images"
        found.trouble = f"{missing} {noun} to be shown here could not be found or read."
    return found


def thumbnail(pixels: np.ndarray, framing: Framing = CROP) -> Thumbnail:
    """The square that the network sees of an upright image (H, W, 3), as WebP, with nothing but pixels.

    Args:
        pixels: uint8.
        framing: how an image becomes a square.
    """
    height, width = pixels.shape[:2]
    if framing.fit != "crop":
        side = min(SIDE, max(height, width))
        return encoded(framed(Image.fromarray(pixels), side, framing), side)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return encoded(Image.fromarray(pixels[top : top + side, left : left + side]), side)


def encoded(image: Image.Image, side: int) -> Thumbnail:
    """A picture from an image in memory; small ones lose nothing."""
    file = io.BytesIO()
    image.save(file, format="WEBP", quality=_QUALITY, lossless=side < SIDE // 2, method=4)
    return Thumbnail("data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii"), side)


def _listings(run: Run) -> tuple[list[Listing], Framing]:
    """The parts of the run's source, and how an image becomes a square; nothing is fetched from the network."""
    options = check_record(run.recipe["data"], DataOptions, f"[data] of {run.path / layout.RECIPE}", RESTORE)
    if options.path is None and options.name != "digits":
        cache = Path.home() / ".cache" / "longtail"
        options = options.model_copy(update={"path": str(cache)})
    source = read_source(options)
    parts = [part for part in (source.test, source.val, source.train) if part is not None]
    return parts, framing_of(options.fit, options.mean or source.mean)


def _add(found: Thumbnails, listing: Listing, wanted: Iterable[str], bits: int, framing: Framing) -> None:
    names = set(wanted) - found.found.keys()
    rows = np.array(
        [row for row, name in enumerate(listing.ids) if _short_name(name) in names], dtype=np.int64
    )
    if not len(rows):
        return
    pictures: Sequence[object] = list(
        in_threads(lambda image: decode_small(image, SIDE, bits), listing.fetch(rows))
    )
    for row, pixels in zip(rows.tolist(), pictures, strict=True):
        if not isinstance(pixels, UnreadableError):
            found.found.setdefault(_short_name(listing.ids[row]), thumbnail(np.asarray(pixels), framing))


def _short_name(name: str) -> str:
    """A file's name as predictions.parquet writes it."""
    return name.encode("utf-8", "backslashreplace").decode()
