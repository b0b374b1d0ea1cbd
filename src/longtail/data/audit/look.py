"""One look at an image: is it sound, is it odd, and what tells it apart from others."""

import hashlib
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from longtail.data.depth import Reading
from longtail.data.fingerprint import SIDE, Fingerprint, fingerprint
from longtail.data.opening import Encoded, read_encoded, reasons, shrink, turn_upright
from longtail.data.repairing import with_image
from longtail.data.transparency import is_transparent

SMALL = 32  # pixels of the shorter side below which an image is very small
NARROW = 5  # times as long as wide, or wide as long
HUGE = 2**25  # pixels


class Look(NamedTuple):
    """What is known of an image after it was seen once.

    Attributes:
        content: digest of the file's bytes.
        pixels: digest of the upright RGB pixels where all were decoded, else as `content`.
        fingerprint: what it is compared by.
        odd: what is suspicious about it, as "kind" or "kind (detail)".
        ignored: what is damaged beside its pixels and was ignored; "" where it is sound.
        largest: largest value of an image of 16 bits, see `Reading`.
        size: height and width upright.
    """

    content: bytes
    pixels: bytes
    fingerprint: Fingerprint
    odd: tuple[str, ...]
    ignored: str
    largest: int | None
    size: tuple[int, int]


def look(image: Encoded) -> Look:
    """Read and decode an image once.

    Args:
        image: a file, an encoded image, (H, W, 3) pixels, or where such pixels are stored.

    Raises:
        UnreadableError: with the reason.
    """
    with reasons(image):
        data = read_encoded(image)
    content = _digest(data)

    (pixels, found, odd, size), reading = with_image(data, partial(_seen, content))
    return Look(content, pixels, found, tuple(odd), reading.said, reading.largest, size)


def _seen(
    content: bytes, opened: Image.Image, reading: Reading
) -> tuple[bytes, Fingerprint, list[str], tuple[int, int]]:
    """Digest of the pixels (that of the file where not all are decoded), fingerprint, what is odd, and the size."""
    odd, (width, height) = _oddities(opened), opened.size
    factor = shrink(opened, min(opened.size) // (2 * SIDE))
    upright = turn_upright(opened, reading)
    if is_transparent(opened):
        odd.append("transparent, read as on white")
    complete = factor == 1 and opened.format not in ("JPEG", "MPO")
    pixels = _digest(np.asarray(upright)) if complete else content
    turned = (upright.width < upright.height) != (width < height)
    return pixels, fingerprint(opened, upright), odd, (width, height) if turned else (height, width)


def _digest(data: bytes | NDArray[np.uint8]) -> bytes:
    if isinstance(data, bytes):
        return hashlib.sha256(data).digest()
    digest = hashlib.sha256(str(data.shape).encode())
    digest.update(np.ascontiguousarray(data).data)
    return digest.digest()


def _oddities(image: Image.Image) -> list[str]:
    """What the header says that is out of the ordinary."""
    width, height = image.size
    size = f"{width:,} x {height:,} pixels"
    found = {
        "in CMYK, made for print": image.mode == "CMYK",
        "with 16 bits a value, of which 8 are kept": _has_sixteen_bits(image),
        "animated, of which the first frame is kept": _is_animated(image),
        f"very small ({size})": min(width, height) < SMALL,
        f"very long and narrow ({size})": max(width, height) > NARROW * min(width, height),
        f"huge ({size})": width * height > HUGE,
    }
    return [kind for kind, applies in found.items() if applies]


def _has_sixteen_bits(image: Image.Image) -> bool:
    if image.format not in ("PNG", "TIFF"):
        return image.mode.startswith("I;16")
    return image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _is_animated(image: Image.Image) -> bool:
    """Several frames or pages; the second picture that phones hide in a JPEG does not count."""
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))
