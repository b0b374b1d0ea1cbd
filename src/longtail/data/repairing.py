"""Images whose pixels are sound and whose metadata or end is damaged: read without what is damaged, and said so.

Pillow refuses such a file as a whole. Its switch LOAD_TRUNCATED_IMAGES holds for the whole process and fills what is
missing with grey; so the bytes are repaired in memory instead, and decoded as strictly as before.
"""

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from PIL import Image

from longtail.data.depth import Reading
from longtail.data.exif import minimal, orientation
from longtail.data.jpeg import JPEG_END, read_jpeg
from longtail.data.opening import Encoded, UnreadableError, open_image, read_encoded, reasons

Result = TypeVar("Result")
REPAIRED = "damaged beside the pixels, used"
METADATA = "damaged metadata, ignored"
NO_END = "no end mark, all pixels there"
_JPEG = b"\xff\xd8\xff"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_WEBP_OPACITY = 0x10  # the bit of a header that says that blocks of transparency follow
_TIFF_KEPT = frozenset({  # the tags that pixels depend on, and the orientation
    *(256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 338, 339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 530, 531, 532),
})  # fmt: skip


class Repaired(NamedTuple):
    """An encoded image without what was damaged, and what that was."""

    data: bytes
    ignored: str


def with_image(
    image: Encoded, work: Callable[[Image.Image, Reading], Result], bits: int = 16
) -> tuple[Result, Reading]:
    """`work` on an opened image; where that fails, on its bytes without damaged metadata or with the missing end.

    Args:
        image: a file, an encoded image, (H, W, 3) pixels, or where such pixels are stored.
        work: what decodes, and notes what it found; called again, on another opening, where it failed.
        bits: how many bits the values of images of 16 bits use, see `depth`.

    Returns:
        What `work` returned, and how the image was read: what is damaged and was ignored among it.

    Raises:
        UnreadableError: with the reason, whatever `work` raised.
    """
    with reasons(image):
        data, reading = read_encoded(image, bits), Reading(bits)
        again = None
        try:
            with open_image(data) as opened:
                result = work(opened, reading)
        except UnreadableError:
            raise
        except Exception:
            if not isinstance(data, bytes) or (again := repair(data)) is None:
                raise
        if again is not None:
            reading = Reading(bits, [again.ignored])
            with open_image(again.data) as opened:
                result = work(opened, reading)
        elif isinstance(data, bytes) and _lacks_end(data):
            reading.ignored.append(NO_END)
    return result, reading


def repair(data: bytes) -> Repaired | None:
    """An encoded image that cannot be read, without its metadata and with an end; None where that changes nothing.

    Whether all pixels are there is left to decoding, which stays strict; but a JPEG's decoder fills missing ones with
    grey, so that a JPEG without its end comes back only where its pixels do not depend on what would follow.
    """
    again = None
    with suppress(struct.error, IndexError, ValueError):  # damaged in what is needed
        if data.startswith(_PNG):
            again = _repaired_png(data)
        elif data.startswith(_JPEG):
            again = _repaired_jpeg(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            again = _repaired_webp(data)
        elif data.startswith((b"II*\0", b"MM\0*")):
            again = _repaired_tiff(data)
    return None if again is None or again.data == data else again


def _lacks_end(data: bytes) -> bool:
    """Whether an image that was decoded lacks its end, which Pillow does not always mind.

    Raises:
        UnreadableError: it is a JPEG that lacks pixels too, for which whatever else its file holds was taken.
    """
    if data.startswith(_PNG):
        return not data.endswith(_PNG_END) and _PNG_END not in data
    if not data.startswith(_JPEG) or data.endswith(JPEG_END):
        return False
    try:
        jpeg = read_jpeg(data)
    except (ValueError, struct.error, IndexError):  # odd, and decoded all the same
        return False
    if not jpeg.ended and not jpeg.is_complete():
        raise UnreadableError("truncated")
    return not jpeg.ended


def _repaired_jpeg(data: bytes) -> Repaired | None:
    jpeg = read_jpeg(data)
    if not jpeg.ended and not jpeg.is_complete():
        return None
    return Repaired(jpeg.encoded(), METADATA if jpeg.ended else NO_END)


def _repaired_png(data: bytes) -> Repaired | None:
    kept, place, ended, dropped = [_PNG], len(_PNG), False, False
    while place + 8 <= len(data) and not ended:
        length, name = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        crc = data[place + 8 + length : place + 12 + length]
        sound = crc == struct.pack(">I", zlib.crc32(name + body))
        if name in (b"IHDR", b"PLTE") and not sound:
            return None
        if name in _PNG_KEPT and (
            sound or name == b"IDAT"
        ):  # of which the decoder knows whether it is complete
            kept.append(_png_chunk(name, body))
        elif name == b"eXIf" and sound:
            kept += [_png_chunk(name, turn[6:]) for turn in _turn(body)]
        dropped |= name not in (*_PNG_KEPT, b"IEND")
        ended = name == b"IEND"
        place += 12 + length
    return Repaired(b"".join([*kept, _png_chunk(b"IEND", b"")]), METADATA if dropped and ended else NO_END)


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))


def _turn(exif: bytes) -> list[bytes]:
    """A block with the orientation alone, where the EXIF names one."""
    with suppress(ValueError):
        if (turned := orientation(exif)) is not None:
            return [minimal(turned)]
    return []


def _repaired_webp(data: bytes) -> Repaired | None:
    """The picture and its transparency alone: what else there is describes it."""
    place, header, opacity, picture = 12, b"", b"", b""
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + length]
        if len(body) == length and not picture:
            block = struct.pack("<4sI", name, length) + body + b"\0" * (length % 2)
            if name in (b"VP8 ", b"VP8L"):
                picture = block
            elif name == b"ALPH":
                opacity = block
            elif name == b"VP8X" and body:
                header = block[:8] + bytes([body[0] & _WEBP_OPACITY]) + block[9:]
        place += 8 + length + length % 2
    if not picture:
        return None
    kept = (header + opacity if header and opacity else b"") + picture
    return Repaired(struct.pack("<4sI4s", b"RIFF", 4 + len(kept), b"WEBP") + kept, METADATA)


def _repaired_tiff(data: bytes) -> Repaired:
    """The first page with the tags that its pixels depend on, listed where all its tags were.

    So the file has no byte more than before, and pixels that it lacks are still missed.
    """
    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    entries = [struct.unpack_from("12s", data, start + 2 + 12 * entry)[0] for entry in range(count)]
    kept = [entry for entry in entries if struct.unpack_from(f"{order}H", entry)[0] in _TIFF_KEPT]
    listed = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    return Repaired(data[:start] + listed + data[start + len(listed) :], METADATA)
