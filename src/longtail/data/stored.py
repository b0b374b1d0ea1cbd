"""Raw pixels in a file."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from longtail.errors import LocalInputError
from longtail.records import short


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """An image as raw bytes in a larger file: rows of RGB pixels, uint8.

    Attributes:
        file: where they lie.
        offset: of the first byte.
        height: in pixels.
        width: in pixels.
        checksum: zlib's CRC-32 of the bytes.
        name: of the image, for messages.
        row: its place among those that lie in the file.
        seen: (number of images) 1 for each whose checksum was compared; all images of the file share it.
    """

    file: Path
    offset: int
    height: int
    width: int
    checksum: int
    name: str
    row: int
    seen: bytearray = field(repr=False)

    def read(self, top: int = 0, height: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The `height` rows from `top` on (default: all); the first time all are read, to compare the checksum.

        Raises:
            LocalInputError: the pixels are not those that were written.
        """
        rows = self.height - top if height is None else height
        if self.seen[self.row]:
            return self._read(top, rows)
        pixels = self._read(0, self.height)
        if zlib.crc32(pixels.data.cast("B")) != self.checksum:
            raise LocalInputError(
                f"{self.file} is damaged (the pixels of {short(self.name)} are not those that were packed); "
                "pack the set again"
            )
        self.seen[self.row] = 1
        return pixels[top : top + rows]

    def _read(self, top: int, rows: int) -> UInt8[np.ndarray, "h w 3"]:
        pixels = np.empty((rows, self.width, 3), dtype=np.uint8)
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset + top * self.width * 3)
            if file.readinto(pixels.data.cast("B")) != pixels.nbytes:
                raise OSError("the file is shorter than its index says")
        return pixels
