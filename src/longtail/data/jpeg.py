"""The parts of a JPEG file, and whether one without its end holds all of its pixels."""

import io
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from PIL import Image

from longtail.data.exif import minimal, orientation

JPEG_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)  # zeros and restarts are part of coded pixels
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_SCAN = 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_PROGRESSIVE = (0xC2, 0xCA)
_ADDED = (*range(0xE1, 0xEE), 0xEF, 0xFE)  # by applications; JFIF and Adobe name the colours and stay
_COLOURS = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}  # how their segments begin, and their least length
_PADDING = 4  # zeros at the end, from which on they are no coded pixels
_NOISE = np.random.default_rng(0).integers(1, 255, (3, 4096), dtype=np.uint8)
_CONTINUATIONS = [row.tobytes() for row in (*_NOISE, *(255 - _NOISE))]  # of which the very first bit differs


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file without what applications have added to it.

    Attributes:
        header: all up to the coded pixels of the last scan, with the orientation where the EXIF names one.
        coded: the coded pixels of the last scan.
        ended: whether the end mark followed.
        covered: whether the scans name every coefficient of every component, as one of a few scans that refine
            each other does not.
    """

    header: bytes
    coded: bytes
    ended: bool
    covered: bool

    def encoded(self) -> bytes:
        """The file."""
        return self.header + self.coded + JPEG_END

    def is_complete(self) -> bool:
        """Whether the coded pixels are those of the complete image, not a byte less or more.

        A decoder does not tell: it fills missing pixels with grey. So several continuations are decoded. Where the
        pixels are the same whatever follows, none is missing; and where the last byte is needed for that, what
        is at the end is no rubbish.
        """
        if not self.covered or len(self.coded) < 2:
            return False
        return self._is_settled(self.coded) and not self._is_settled(self.coded[:-1].rstrip(b"\xff"))

    def _is_settled(self, coded: bytes) -> bool:
        """Whether pixels do not depend on what follows."""
        restarts = _RESTART.findall(coded)
        following = 0xD0 + ((restarts[-1][0] - 0xD0 + 1) % 8 if restarts else 0)
        try:
            seen = _pixels(self.header + coded + JPEG_END)
            return all(
                _pixels(self.header + coded + more + JPEG_END) == seen
                for more in (*_CONTINUATIONS, bytes([0xFF, following]) + _CONTINUATIONS[0])
            )
        except (OSError, ValueError, SyntaxError):
            return False


def read_jpeg(data: bytes) -> Jpeg:
    """Take a JPEG file apart.

    Raises:
        ValueError: it is cut or damaged before the coded pixels of its last scan.
        struct.error: the same.
    """
    kept, place, ended = [data[:2]], 2, False
    wanted: set[tuple[int, int]] = set()
    frame = 0
    while (found := _MARKER.search(data, place)) is not None:
        marker = found[1][0]
        if marker == JPEG_END[1]:
            ended = True
            break
        (length,) = struct.unpack_from(">H", data, found.end())
        body = data[found.end() + 2 : found.end() + length]
        if length < 2 or len(body) < length - 2:
            raise ValueError("a segment is cut")
        kept += [data[place : found.start()] if frame else b"", *_segment(marker, body)]
        place = found.end() + length
        if marker in _FRAMES:
            frame = marker
            wanted = {(component, k) for component in body[6::3] for k in range(64)}
        elif marker == _SCAN:
            wanted -= _named(body, frame in _PROGRESSIVE)
    if not frame:
        raise ValueError("no frame")
    coded = data[place : found.start()] if found is not None else _without_padding(data[place:])
    return Jpeg(b"".join(kept), coded, ended, not wanted)


def _segment(marker: int, body: bytes) -> list[bytes]:
    """A segment as it is kept, if it is."""
    if marker == 0xE1 and body.startswith(b"Exif"):
        with suppress(ValueError):
            if (turned := orientation(body)) is not None:
                return [_written(marker, minimal(turned))]
    start, least = _COLOURS.get(marker, (b"", 0))
    if marker in _ADDED or len(body) < least or not body.startswith(start):
        return []
    return [_written(marker, body)]


def _written(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _named(scan: bytes, is_progressive: bool) -> set[tuple[int, int]]:
    """Component and position of the coefficients that are settled to their last bit once a scan was read."""
    number = scan[0]
    first, last, bits = scan[1 + 2 * number : 4 + 2 * number]
    if is_progressive and bits & 15:
        return set()
    positions = range(first, last + 1) if is_progressive else range(64)
    return {(component, k) for component in scan[1 : 1 + 2 * number : 2] for k in positions}


def _without_padding(coded: bytes) -> bytes:
    stripped = coded.rstrip(b"\0")
    return (stripped if len(coded) - len(stripped) >= _PADDING else coded).rstrip(b"\xff")


def _pixels(encoded: bytes) -> bytes:
    with Image.open(io.BytesIO(encoded), formats=("JPEG",)) as opened:
        opened.load()
        return blake2b(opened.tobytes()).digest()
