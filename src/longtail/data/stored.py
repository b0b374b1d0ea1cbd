"""Raw pixels in a file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """An image as raw bytes in a larger file: rows of RGB pixels, uint8.

    Attributes:
        file: where they lie.
        offset: of the first byte.
        height: in pixels.
        width: in pixels.
        checksum: zlib's CRC-32 of the bytes.
    """

    file: Path
    offset: int
    height: int
    width: int
    checksum: int

    def read(self, top: int = 0, height: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The `height` rows from `top` on (default: all), and nothing else, from disk."""
        rows = self.height - top if height is None else height
        pixels = np.empty((rows, self.width, 3), dtype=np.uint8)
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset + top * self.width * 3)
            if file.readinto(pixels.data.cast("B")) != pixels.nbytes:
                raise OSError("the file is shorter than its index says")
        return pixels
