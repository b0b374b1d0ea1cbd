"""Images that stay on disk and are decoded when they are shown."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from longtail.data.framing import CROP, Box, Framing, box_on_borders
from longtail.data.images import Size, decode, decode_box
from longtail.data.opening import UnreadableError
from longtail.data.stored import StoredPixels
from longtail.types import LocalInputError


@dataclass(frozen=True)
class ImageFiles:
    """Images that stay on disk.

    Attributes:
        image: gives the image at a row of the source.
        rows: (N,) rows of the source that take part.
        sizes: (N, 2) height and width of each, upright, in pixels.
        image_size: side in pixels of what `read` returns.
        draft: whether JPEG decoders may shrink what a box is cut out of, see `decode_box`.
        bits: how many bits the values of images of 16 bits use, see `depth`.
        framing: how an image becomes a square.
    """

    image: Callable[[int], Path | StoredPixels]
    rows: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, "n 2"]
    image_size: int
    draft: bool = False
    bits: int = 16
    framing: Framing = CROP

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, row: int, box: Box | None = None) -> UInt8[Tensor, "3 s s"]:
        """The image at `row`: the square that loading into memory gives, or a box of it.

        Args:
            row: in [0, N).
            box: top, left, height and width of what is resized instead, in pixels of the upright image. What
                lies beyond the image is filled as `pad` fills it.

        Raises:
            LocalInputError: the file cannot be read.
        """
        image = self.image(int(self.rows[row]))
        try:
            if box is None:
                return torch.from_numpy(decode(image, self.image_size, self.bits, self.framing))
            height, width = self.sizes[row].tolist()

            def cut(inside: Box, size: Size) -> UInt8[Tensor, "3 h w"]:
                return decode_box(image, inside, size, draft=self.draft, bits=self.bits)

            return box_on_borders(box, height, width, self.image_size, self.framing.fill, cut)
        except UnreadableError as error:
            where = image.file if isinstance(image, StoredPixels) else image
            raise LocalInputError(
                f"cannot read image {where} ({error.reason}); repair or remove it"
            ) from None

    def take(self, rows: Int64[np.ndarray, " k"]) -> "ImageFiles":
        """The images at `rows`, in that order."""
        return replace(self, rows=self.rows[rows], sizes=self.sizes[rows])

    def stamps(self) -> Int64[np.ndarray, " n"]:
        """What tells images apart unread: the size of a file, or the checksum noted when it was packed."""
        return np.array([_stamp(self.image(row)) for row in self.rows.tolist()], dtype=np.int64)


def _stamp(image: Path | StoredPixels) -> int:
    return image.checksum if isinstance(image, StoredPixels) else image.stat().st_size
