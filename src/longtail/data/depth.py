"""Images of 16 bits a value: how they become 8, and how many of the bits a set uses.

Cameras and microscopes write 12 bits into files of 16. Of such values the upper eight bits are nearly black, so the
bits that count are found once for all training images (one image alone does not say whether it is dark), kept with the
run, and used for every image that its model sees.
"""

import io
import re
import sys
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = (8, 10, 12, 14, 16)
UPPER = "the lower 8 of its 16 bits are not read"
_OTHER_END = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


@dataclass
class Reading:
    """How an image is read, and what was found on the way.

    Attributes:
        bits: how many bits the values of images of 16 bits use, one of BITS.
        ignored: what is damaged beside the pixels and was ignored.
        largest: largest value of an image of 16 bits whose file does not say which value is white, else None; of
            colours its upper eight bits are known, the lower taken for ones.
    """

    bits: int = 16
    ignored: list[str] = field(default_factory=list)
    largest: int | None = None

    @property
    def said(self) -> str:
        """What was ignored, "" where nothing was."""
        return ", ".join(self.ignored)


def bits_of(largest: Collection[int]) -> int:
    """The least of BITS that holds the largest values of all images of 16 bits; 16 where there are none.

    >>> bits_of([700, 4095]), bits_of([4096]), bits_of([255]), bits_of([])
    (12, 14, 8, 16)
    """
    return next(bits for bits in BITS if max(largest, default=2**16 - 1) < 2**bits)


class Depth(NamedTuple):
    """What is known of the images of 16 bits in a split.

    Attributes:
        bits: as which they are read, one of BITS.
        images: how many there are whose file does not say which value is white.
        largest: their largest value.
    """

    bits: int = 16
    images: int = 0
    largest: int = 0

    def lines(self) -> tuple[str, ...]:
        """What to say of them.

        >>> Depth(12, 10, 3699).lines()[0]
        'images of 16 bits: 10, with values up to 3,699; read as 12 bits: 4,095 and more is white (data.bits=12)'
        """
        if not self.images:
            return ()
        return (
            f"images of 16 bits: {self.images:,}, with values up to {self.largest:,}; read as {self.bits} bits: "
            f"{2**self.bits - 1:,} and more is white (data.bits={self.bits})",
        )


NO_DEPTH = Depth()
"""Of a split without images of 16 bits."""


def depth_of(largest: Collection[int], bits: int | None) -> Depth:
    """The depth of a split, of whose images of 16 bits the largest values are given; `bits` is what was asked for."""
    return Depth(bits or bits_of(largest), len(largest), max(largest, default=0))


def raw_mode(image: Image.Image) -> str:
    """How values lie in the file of an image that is not decoded yet, as Pillow calls it; "" where it does not say.

    A PPM of 16 bits whose white is the largest value that there is says nothing of the bits that count. Pillow would
    scale its colours to 8 bits; it is made to decode them as they lie.
    """
    tiles = getattr(image, "tile", ())
    if not tiles:
        return ""
    given = tiles[0][3]
    if str(tiles[0][0]).startswith("ppm"):
        if given[1] < 2**16 - 1 or (image.mode, tiles[0][0]) == ("RGB", "ppm_plain"):
            return "ppm"  # which scales by the white that the file states
        if image.mode == "RGB":
            image.tile = [type(tile)("raw", *tile[1:3], "RGB;16B") for tile in tiles]  # type: ignore[attr-defined]
        return "RGB;16B" if image.mode == "RGB" else "I;16"
    return str(given[0] if isinstance(given, tuple) and given else given)


def plain_as_binary(data: bytes) -> bytes:
    """A PPM of colours in plain text (P3) whose white is the largest value of 16 bits, in its binary form.

    Pillow scales such colours to 8 bits as it reads the text. What is not sound comes back as it is.
    """
    if not data.startswith(b"P3"):
        return data
    fields = re.sub(rb"#[^\r\n]*", b"", data).split(maxsplit=4)
    if len(fields) < 5 or fields[3] != b"65535" or re.search(rb"[^0-9\s]", b" ".join(fields[1:])):
        return data
    values = np.fromstring(fields[4], dtype=np.int64, sep=" ")[: 3 * int(fields[1][:9]) * int(fields[2][:9])]
    if len(values) < 3 * int(fields[1]) * int(fields[2]) or values.max(initial=0) > 2**16 - 1:
        return data
    return b"P6 %b %b 65535\n" % (fields[1], fields[2]) + values.astype(">u2").tobytes()


def is_deep(image: Image.Image, raw: str) -> bool:
    """Whether an image has 16 bits a value; `raw` is its `raw_mode`."""
    return _is_grey(image) or ";16" in raw


def eight_bits(
    image: Image.Image, raw: str, lower: NDArray[np.uint8] | None, reading: Reading
) -> Image.Image:
    """A decoded image of 16 bits a value in 8-bit RGB: of the bits that count, the upper eight.

    Args:
        image: for which `is_deep`.
        raw: its `raw_mode` before it was decoded.
        lower: `lower_bytes` of it; None where they are not known, or not needed.
        reading: how many bits count; gets the largest value.
    """
    if _is_grey(image):
        values = np.asarray(image)
        if raw == "I;12":
            bits = 12
        elif raw == "ppm" or image.format == "JPEG2000":  # scaled to 16 bits as the file states
            bits = 16
        else:
            bits, reading.largest = reading.bits, int(values.max())
        return Image.fromarray(np.minimum(values >> (bits - 8), 255).astype(np.uint8)).convert("RGB")
    upper = np.asarray(image.convert("RGB")).astype(np.int32)
    reading.largest = int(upper.max()) * 256 + 255
    if lower is None and reading.bits < 16:
        reading.ignored.append(UPPER)
    low = 0 if lower is None else lower
    return Image.fromarray(np.minimum((upper * 256 + low) >> (reading.bits - 8), 255).astype(np.uint8))


def lower_bytes(image: Image.Image, raw: str) -> NDArray[np.uint8] | None:
    """(H, W, 3) lower bytes of colours, or of grey with transparency, of which Pillow keeps the upper.

    The file is decoded once more, as if its bytes lay in the other order, or were those of more colours in 8 bits.
    None where that gives no lower bytes: of CMYK, or of colours that transparency was multiplied into.
    """
    source: Any = image  # a file that is open, all of it in memory
    mode, _, end = raw.partition(";")
    if raw == "LA;16B" and image.format == "PNG":
        with Image.open(io.BytesIO(_as_four_bytes(source.fp.getvalue())), formats=("PNG",)) as again:
            return np.repeat(np.asarray(again)[..., 1:2], 3, axis=-1)
    if mode not in ("RGB", "RGBX", "RGBA") or end not in _OTHER_END:
        return None
    swapped = f"{mode};{_OTHER_END[end]}"
    with Image.open(io.BytesIO(source.fp.getvalue()), formats=(source.format,)) as again:
        raw_mode(again)
        again.tile = [
            type(tile)(*tile[:3], swapped if isinstance(tile[3], str) else (swapped, *(tile[3] or ())[1:]))
            for tile in again.tile
        ]
        return np.asarray(again.convert("RGB"))


def _as_four_bytes(png: bytes) -> bytes:
    """A PNG of grey and transparency in 16 bits as one of four colours in 8, whose pixels have as many bytes."""
    header = png[12:24] + bytes([8, 6]) + png[26:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def _is_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
