"""Opening encoded images within bounds, turning them upright, and saying why one cannot be read."""

import ctypes
import io
import logging
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, _imaging

from longtail.data.depth import Reading, eight_bits, is_deep, lower_bytes, plain_as_binary, raw_mode
from longtail.data.exif import turn_of
from longtail.data.formats import FORMATS, is_heif, use_heif, why_not
from longtail.data.own_output import is_own
from longtail.data.stored import StoredPixels
from longtail.data.transparency import on_white
from longtail.errors import InputError
from longtail.machine import lacks_resources
from longtail.printable import printable

Encoded = Path | bytes | NDArray[np.uint8] | Image.Image | StoredPixels
MAX_PIXELS = 2**27  # of an image: 134 million, 0.4 GB as RGB
MAX_BYTES = 2**30  # of a file
_LARGE = 2**25  # pixels from which on images are decoded one at a time, so that threads do not add up
_large = threading.Lock()
_TOO_LARGE = f"too large: more than {MAX_PIXELS:,} pixels"

EXIF = "damaged EXIF, so not turned upright"
NO_PIXELS = "no pixels"
_tiff = threading.local()  # .failed: whether libtiff has reported an error in this thread


def _on_tiff_error(_part: bytes, _message: bytes, _values: int) -> None:
    _tiff.failed = True


_TIFF_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_on_tiff_error)


def silence_pillow() -> None:
    """Keep what Pillow warns of off the terminal: what matters of it is found here and said by image.

    Filters hold for the process: one that is set around a call would hold for other threads too. Of its warnings
    some are of decompression bombs, at two thirds of the limit here, which refuses.

    Errors of libtiff, which writes them to the terminal itself, are noted for `open_image`. It is found through
    Pillow's own module, which is linked to it; where that holds it within (Windows), its lines still appear.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError, AttributeError):
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(_TIFF_HANDLER)


silence_pillow()


class UnreadableError(Exception):
    """An image could not be decoded; the message is its file, where it has one, and the reason.

    Attributes:
        reason: without the file.
    """

    def __init__(self, reason: str, file: Path | None = None) -> None:
        super().__init__(reason if file is None else f"{printable(str(file))}: {reason}")
        self.reason = reason


@contextmanager
def open_image(image: Encoded) -> Iterator[Image.Image]:
    """An image with its header read and its pixels not yet decoded; of an animation, its first frame.

    The header's size is looked at before anything is decoded, so that a small file which claims
    to hold a huge image costs nothing.

    Args:
        image: a file, an encoded image, (H, W, 3) pixels, a Pillow image, or where such pixels are stored.

    Raises:
        UnreadableError: no pixels, more than MAX_PIXELS or MAX_BYTES bytes, no regular file, or an image of a kind
            that is not decoded.
        OSError: at the end, where libtiff found an error and went on.
        Exception: whatever Pillow raises for what is no image.
    """
    data = read_encoded(image)
    if isinstance(data, np.ndarray):
        if not data.size:
            raise UnreadableError(NO_PIXELS)
        yield Image.fromarray(data)
        return
    data = plain_as_binary(data)
    try:
        opened = Image.open(io.BytesIO(data), formats=use_heif() if is_heif(data) else FORMATS)
    except UnidentifiedImageError:
        if (kind := why_not(data)) is None:
            raise
        raise UnreadableError(kind) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError(_TOO_LARGE) from None
    with opened:
        pixels = opened.width * opened.height
        if pixels > MAX_PIXELS:
            raise UnreadableError(_TOO_LARGE)
        if not pixels:
            raise UnreadableError(NO_PIXELS)
        _tiff.failed = False
        with _large if pixels > _LARGE else nullcontext():
            yield opened
        if opened.format == "TIFF" and _tiff.failed:
            raise OSError("damaged")


def turn_upright(image: Image.Image, reading: Reading) -> Image.Image:
    """The image in 8-bit RGB, turned as its EXIF orientation says, on white where it is transparent; 16 bits become 8.

    Args:
        image: with its pixels decoded or not.
        reading: how it is read; gets what was found on the way.
    """
    raw = raw_mode(image)
    deep = is_deep(image, raw)
    lower = lower_bytes(image, raw) if deep and reading.bits < 16 else None
    image.load()  # a PNG may name its orientation behind its pixels
    try:
        turn = turn_of(image)
    except ValueError:
        reading.ignored.append(EXIF)
        turn = None
    upright = on_white(image, eight_bits(image, raw, lower, reading) if deep else _rgb(image))
    return upright if turn is None else upright.transpose(turn)


def shrink(image: Image.Image, most: int) -> int:
    """Let a JPEG decoder shrink the image by a power of two up to 8 and `most`; returns by how much it will."""
    width, height = image.size
    factor = next((factor for factor in (8, 4, 2) if factor <= most), 1)
    image.draft(None, (width // factor, height // factor))
    return factor if image.size != (width, height) else 1


@contextmanager
def reasons(image: Encoded) -> Iterator[None]:
    """Turn whatever decoding raises into `UnreadableError` with the reason."""
    try:
        yield
    except InputError:  # the set is at fault, not the image
        raise
    except Exception as error:
        if lacks_resources(error):
            raise
        raise UnreadableError(_reason(image, error), image if isinstance(image, Path) else None) from error


def read_encoded(image: Encoded, bits: int = 16) -> bytes | NDArray[np.uint8]:
    """The bytes of an encoded image, or (H, W, 3) pixels where it is not encoded; raises as `read_file`.

    Args:
        image: any form of it.
        bits: how many bits the values of an image of Pillow's with 16 bits use.
    """
    if isinstance(image, StoredPixels):
        return image.read()
    if isinstance(image, Image.Image):
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableError(_TOO_LARGE)
        if not image.width * image.height:
            raise UnreadableError(NO_PIXELS)
        return np.asarray(turn_upright(image.copy(), Reading(bits)))
    return image if isinstance(image, bytes | np.ndarray) else read_file(image)


def read_file(file: Path) -> bytes:
    """The bytes of a file; raises `UnreadableError` where it is too large or no regular file."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        if not stat.S_ISDIR(status.st_mode):
            raise UnreadableError("not a regular file")
        raise UnreadableError("a folder that longtail wrote" if is_own(file) else "a folder")
    if status.st_size > MAX_BYTES:
        raise UnreadableError(f"too large: more than {MAX_BYTES:,} bytes")
    return file.read_bytes()


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):  # of which nobody knows what is black and what is white
        raise UnreadableError("32 bits a value or signed, not 8 or 16")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(image: Encoded, error: Exception) -> str:
    if isinstance(image, bytes) and not image:
        return "empty"
    with suppress(OSError):  # a name may be too long to ask for, a folder closed
        if isinstance(image, Path) and image.is_file() and image.stat().st_size == 0:
            return "empty"
    if isinstance(error, UnreadableError):
        return error.reason
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, LookupError | struct.error):  # what a decoder ran into, in words that say nothing
        return "damaged"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).splitlines()[0]
