"""The one thing of an image's metadata that matters here: how the picture has to be turned."""

import re
import struct

from PIL import Image

_TAG = 0x0112
_KINDS = {1: "B", 3: "H", 4: "I"}  # the EXIF types a whole number may have
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP = re.compile(r'tiff:Orientation(?:="|>)([1-8])')


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """How a decoded image has to be turned to be upright, from its EXIF or else its XMP; None: it is upright.

    Pillow turns TIFF by itself while it decodes.

    Raises:
        ValueError: the EXIF block is damaged.
    """
    if image.format == "TIFF":
        return None
    exif = image.info.get("exif")
    if (
        exif is None and (profile := image.info.get("Raw profile type exif")) is not None
    ):  # ImageMagick's form in PNG
        exif = bytes.fromhex("".join(str(profile).split("\n")[3:]))
    found = None if exif is None else orientation(exif)
    if found is None and (xmp := image.info.get("XML:com.adobe.xmp") or image.info.get("xmp")):
        match = _XMP.search(xmp if isinstance(xmp, str) else bytes(xmp).decode("latin-1"))
        found = int(match[1]) if match else None
    return None if found is None else _TURNS.get(found)


def orientation(exif: bytes) -> int | None:
    """The orientation that an EXIF block names, 1 to 8; None where it names none.

    Nothing else of the block is read, so that damage elsewhere does not matter.

    Raises:
        ValueError: the block is damaged before the orientation.

    >>> orientation(minimal(6)), orientation(b"")
    (6, None)
    """
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    if not exif:
        return None
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or 42 not in exif[2:4]:
        raise ValueError("EXIF begins with neither II nor MM")
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _TAG:
                (value,) = struct.unpack_from(order + _KINDS.get(kind, "H"), exif, entry + 8)
                return value if 1 <= value <= 8 else None
    except struct.error as error:
        raise ValueError(f"EXIF is cut ({error})") from None
    return None


def minimal(turned: int) -> bytes:
    """An EXIF block that holds an orientation and nothing else."""
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _TAG, 3, 1, turned, 0, 0)
