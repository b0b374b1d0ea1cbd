"""From encoded images to uint8 squares: finding files, decoding, resizing."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from longtail.types import InputError, LocalInputError

Encoded = Path | bytes | NDArray[np.uint8]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
Item = TypeVar("Item")
Result = TypeVar("Result")
_CHUNK = 1024  # encoded images in memory at a time
_BLOCK = 16  # images in one thread's task


class UnreadableError(Exception):
    """An image could not be decoded; the message is the reason."""


@dataclass(frozen=True)
class ImageFiles:
    """Images that stay on disk; reading one gives the pixels that loading it into memory would.

    Attributes:
        paths: N files.
        image_size: side in pixels of what `read` returns.
    """

    paths: tuple[Path, ...]
    image_size: int

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int) -> UInt8[Tensor, "3 s s"]:
        """The image at `row`; raises `InputError` where the file cannot be read."""
        try:
            return torch.from_numpy(decode(self.paths[row], self.image_size))
        except UnreadableError as reason:
            raise LocalInputError(
                f"cannot read image {self.paths[row]} ({reason}); mend or remove it"
            ) from None

    def stack(self, images: Iterable[UInt8[Tensor, "3 s s"]]) -> UInt8[Tensor, "n 3 s s"]:
        """Images that were read, as one tensor; there may be none."""
        found = list(images)
        return torch.stack(found) if found else torch.empty((0, 3, *[self.image_size] * 2), dtype=torch.uint8)

    def take(self, rows: Sequence[int]) -> "ImageFiles":
        """The files at `rows`, in that order."""
        return ImageFiles(tuple(self.paths[i] for i in rows), self.image_size)


def decode(image: Encoded, size: int) -> NDArray[np.uint8]:
    """Decode an image, turn it upright, and resize its centre square.

    Orientation from EXIF is applied; the largest centred square is resized by Pillow's bilinear filter, which
    averages when it shrinks. An image that is already size x size keeps its exact pixels.

    Args:
        image: a file, an encoded image, or (H, W, 3) pixels.
        size: side of the result.

    Returns:
        (3, size, size) RGB.

    Raises:
        UnreadableError: with the reason, whatever Pillow raised.
    """
    try:
        with _open(image) as opened:
            ImageOps.exif_transpose(opened, in_place=True)
            upright = _rgb(opened)
            side = min(upright.size)
            left, top = ((length - side) / 2 for length in upright.size)
            box = (left, top, left + side, top + side)
            square = upright.resize((size, size), Image.Resampling.BILINEAR, box=box)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
    except Exception as error:
        raise UnreadableError(_reason(image, error)) from error


def decode_all(
    images: Iterable[Encoded], count: int, size: int
) -> tuple[UInt8[Tensor, "n 3 s s"], dict[int, str]]:
    """Decode in threads (Pillow releases the interpreter lock).

    Args:
        images: what to decode, `count` of them; taken in chunks, so a generator is never held at once.
        count: how many there are.
        size: side of the result.

    Returns:
        The readable images in their order, and position -> reason of the others.
    """
    pixels = torch.empty((count, 3, size, size), dtype=torch.uint8)
    array = pixels.numpy()
    bad: dict[int, str] = {}
    for row, image in enumerate(_in_threads(lambda image: decode(image, size), images)):
        if isinstance(image, UnreadableError):
            bad[row] = str(image)
        else:
            array[row - len(bad)] = image
    return pixels[: count - len(bad)], bad


def check_all(paths: Iterable[Path]) -> dict[int, str]:
    """Position -> reason of the files that cannot be decoded; each is read once, in threads, and not kept."""
    checked = enumerate(_in_threads(lambda path: decode(path, 1), paths))
    return {row: str(result) for row, result in checked if isinstance(result, UnreadableError)}


def read_images(
    paths: Sequence[Path], image_size: int
) -> tuple[UInt8[Tensor, "n 3 s s"], list[tuple[str, str]]]:
    """Decode files for prediction.

    Args:
        paths: the files.
        image_size: side of the result in pixels.

    Returns:
        (n, 3, S, S) the readable images in the order of `paths`, and (path, reason) of the others.
    """
    images, bad = decode_all(paths, len(paths), image_size)
    return images, [(str(paths[row]), reason) for row, reason in bad.items()]


def find_images(sources: Sequence[Path | str]) -> list[Path]:
    """List images in files and folders, each once.

    Args:
        sources: files, taken as they are, and folders, searched in sorted order without hidden files.

    Raises:
        InputError: a source does not exist, or a folder holds no image.
    """
    found: dict[Path, None] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise InputError(f"{source} does not exist; give image files or folders of images")
        inside = [source] if source.is_file() else list(walk_images(source))
        if not inside:
            known = " ".join(sorted(SUFFIXES))
            raise InputError(f"no images in {source}; give a folder with files ending in {known}")
        found.update(dict.fromkeys(inside))
    return list(found)


def walk_images(folder: Path) -> Iterator[Path]:
    """Image files under a folder in sorted order; links are followed, hidden files and folders skipped."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in sorted(files):
            if not is_hidden(name) and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is skipped: its name begins with a dot, or is macOS's `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def _in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result | UnreadableError]:
    def attempt(item: Item) -> Result | UnreadableError:
        try:
            return work(item)
        except UnreadableError as reason:
            return reason

    remaining = iter(items)
    with ThreadPoolExecutor() as pool:
        while chunk := list(islice(remaining, _CHUNK)):
            blocks = [chunk[start : start + _BLOCK] for start in range(0, len(chunk), _BLOCK)]
            for results in pool.map(lambda block: [attempt(item) for item in block], blocks):
                yield from results


def _open(image: Encoded) -> Image.Image:
    if isinstance(image, np.ndarray):
        return Image.fromarray(image)
    data = image if isinstance(image, bytes) else image.read_bytes()
    # Pillow tries every other format before WebP; naming it halves the time of a small image.
    return Image.open(io.BytesIO(data), formats=("WEBP",) if data[8:12] == b"WEBP" else None)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(image: Encoded, error: Exception) -> str:
    empty = image.stat().st_size == 0 if isinstance(image, Path) and image.exists() else image == b""
    if empty:
        return "empty"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return str(error) or type(error).__name__
