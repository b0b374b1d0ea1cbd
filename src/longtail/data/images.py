"""From encoded images to uint8 squares: finding files, decoding, resizing."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Int64, UInt8, UInt64
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from longtail.data.content import with_content
from longtail.data.depth import Reading
from longtail.data.fingerprint import Fingerprint, Fingerprints, fingerprint
from longtail.data.framing import CROP, Box, Framing, framed
from longtail.data.opening import Encoded, UnreadableError, reasons, shrink, turn_upright
from longtail.data.repairing import with_image
from longtail.data.stored import StoredPixels
from longtail.data.threads import in_threads

Size = tuple[int, int]
"""Height and width."""
Result = TypeVar("Result")
_Found = tuple[tuple[NDArray[np.uint8], Size, Fingerprint | None], Reading]
_AHEAD = 2  # batches
_BLOCK = 4  # images in one thread's task, where a batch is wanted soon


class Decoded(NamedTuple):
    """Images decoded.

    Attributes:
        images: (n, 3, S, S) the readable ones in their order.
        bad: position -> reason of the others.
        contents: (n,) `content_number` of the readable ones; zeros where it was not asked for.
        repaired: position -> what is damaged and was ignored, of readable ones.
        largest: position -> largest value, of those of 16 bits whose white is not stated.
        sizes: (n, 2) height and width of the readable ones, upright.
        prints: of the readable ones; None where they were not asked for.
    """

    images: UInt8[Tensor, "n 3 s s"]
    bad: dict[int, str]
    contents: UInt64[np.ndarray, " n"]
    repaired: dict[int, str]
    largest: dict[int, int]
    sizes: Int64[np.ndarray, "n 2"]
    prints: Fingerprints | None


class Checked(NamedTuple):
    """Images decoded once and not kept.

    Attributes:
        sizes: (n, 2) height and width of the readable ones.
        bad: position -> reason of the others.
        contents: (n,) `content_number` of the readable ones; None where they were not read.
        repaired: position -> what is damaged and was ignored, of readable ones.
        largest: position -> largest value, of those of 16 bits whose white is not stated.
        prints: of the readable ones; None where they were not asked for.
    """

    sizes: Int64[np.ndarray, "n 2"]
    bad: dict[int, str]
    contents: UInt64[np.ndarray, " n"] | None
    repaired: dict[int, str]
    largest: dict[int, int]
    prints: Fingerprints | None


def decode(image: Encoded, size: int, bits: int = 16, framing: Framing = CROP) -> NDArray[np.uint8]:
    """Decode an image, turn it upright by its EXIF orientation, and bring it to size x size, see `framed`.

    Args:
        image: a file, an encoded image, (H, W, 3) pixels, or where such pixels are stored.
        size: side of the result.
        bits: how many bits the values of images of 16 bits use, see `depth`.
        framing: how it becomes a square.

    Returns:
        (3, size, size) RGB.

    Raises:
        UnreadableError: with the reason, whatever Pillow raised.
    """
    return with_image(image, partial(_upright, partial(_square, size, framing)), bits)[0]


def _upright(work: Callable[[Image.Image], Result], opened: Image.Image, reading: Reading) -> Result:
    return work(turn_upright(opened, reading))


def _printed(
    work: Callable[[Image.Image], Result], wanted: bool, opened: Image.Image, reading: Reading
) -> tuple[Result, Size, Fingerprint | None]:
    """`work` on the upright image, the image's height and width, and its fingerprint where it is wanted."""
    upright = turn_upright(opened, reading)
    return work(upright), _size(upright), fingerprint(opened, upright) if wanted else None


def _square(size: int, framing: Framing, upright: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(framed(upright, size, framing)).transpose(2, 0, 1))


def decode_box(
    image: Encoded, box: Box, size: int | Size, *, draft: bool = False, bits: int = 16
) -> UInt8[Tensor, "3 h w"]:
    """Decode an image, turn it upright, cut a box out and resize it.

    Resampling is PyTorch's antialiased bilinear filter on uint8, as in torchvision's tensor transforms. On
    photographs it is within one grey level of Pillow's, and several times faster.

    Args:
        image: as for `decode`; of stored pixels the box's rows alone are read.
        box: top, left, height and width in pixels of the upright image.
        size: side, or height and width, of the result.
        draft: let JPEG decoders shrink the image by 2, 4 or 8 as long as the box keeps `size` pixels a side. Large
            photographs decode faster; grey levels then differ (`benchmarks/loader.py` says by how much).
        bits: as for `decode`.

    Returns:
        (3, height, width) RGB.

    Raises:
        UnreadableError: with the reason, whatever was raised.
    """
    top, left, height, width = box
    size = (size, size) if isinstance(size, int) else size
    with reasons(image):
        if isinstance(image, StoredPixels):
            pixels = image.read(top, height)[:, left : left + width]
        else:
            pixels, _ = with_image(image, partial(_cut, box, size, draft), bits)
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        return interpolate(planes, size, mode="bilinear", antialias=True)[0]


def _cut(box: Box, size: Size, draft: bool, opened: Image.Image, reading: Reading) -> NDArray[np.uint8]:
    top, left, height, width = box
    factor = shrink(opened, min(height // size[0], width // size[1])) if draft else 1
    upright = turn_upright(opened, reading)
    if top + height > upright.height * factor or left + width > upright.width * factor:
        raise UnreadableError("smaller than when the set was listed")
    if factor == 1:
        return np.array(upright.crop((left, top, left + width, top + height)))
    a, b, c, d = (edge / factor for edge in (left, top, left + width, top + height))
    return np.array(upright.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=(a, b, c, d)))


def decode_small(image: Encoded, short_side: int, bits: int = 16) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image, turn it upright, and shrink it where its shorter side is longer than `short_side`.

    Raises:
        UnreadableError: with the reason, whatever was raised.
    """
    return shrunk(image, short_side, bits)[0]


def shrunk(image: Encoded, short_side: int, bits: int = 16) -> tuple[UInt8[np.ndarray, "h w 3"], Reading]:
    """`decode_small`, and how the image was read."""
    return with_image(image, partial(_upright, partial(_small, short_side)), bits)


def _small(short_side: int, upright: Image.Image) -> NDArray[np.uint8]:
    shorter = min(upright.size)
    if shorter > short_side:
        width, height = (length * short_side // shorter for length in upright.size)
        upright = upright.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(upright)


def measure(image: Encoded) -> tuple[int, int]:
    """Decode an image and say the height and width it has upright; raises `UnreadableError`."""
    return with_image(image, partial(_upright, _size))[0]


def _size(upright: Image.Image) -> tuple[int, int]:
    return upright.height, upright.width


def decode_all(
    images: Iterable[Encoded],
    count: int,
    size: int,
    *,
    hashed: bool = False,
    bits: int = 16,
    framing: Framing = CROP,
    with_prints: bool = False,
) -> Decoded:
    """Decode in threads (Pillow releases the interpreter lock).

    Args:
        images: what to decode, `count` of them; taken in chunks, so a generator is never held at once.
        count: how many there are.
        size: side of the result.
        hashed: also take the hash of what each image is made of, as it is read.
        bits: as for `decode`.
        framing: how each becomes a square.
        with_prints: also take the fingerprint of each image.
    """
    work = _work(size, bits, framing, with_prints)
    results = in_threads(with_content(work) if hashed else lambda image: (work(image), 0), images)
    return _gathered(results, count, size, with_prints)


def decode_batches(
    images: Iterable[Encoded], batch_size: int, size: int, *, bits: int = 16, framing: Framing = CROP
) -> Generator[Decoded, None, None]:
    """`decode_all` for `batch_size` images at a time, in threads that decode the next two batches meanwhile.

    Closing the iterator ends the threads.
    """
    work = _work(size, bits, framing, with_prints=False)
    ahead, block = _AHEAD * batch_size, min(batch_size, _BLOCK)
    with closing(in_threads(lambda image: (work(image), 0), images, ahead=ahead, block=block)) as results:
        while batch := list(islice(results, batch_size)):
            yield _gathered(batch, len(batch), size)


def _work(size: int, bits: int, framing: Framing, with_prints: bool) -> Callable[[Encoded], _Found]:
    square = partial(_square, size, framing)
    return partial(with_image, work=partial(_printed, square, with_prints), bits=bits)


def _gathered(
    results: Iterable[tuple[_Found, int] | UnreadableError], count: int, size: int, with_prints: bool = False
) -> Decoded:
    pixels = torch.empty((count, 3, size, size), dtype=torch.uint8)
    array, contents = pixels.numpy(), np.zeros(count, dtype=np.uint64)
    sizes = np.zeros((count, 2), dtype=np.int64)
    bad, repaired, largest = dict[int, str](), dict[int, str](), dict[int, int]()
    prints: list[Fingerprint] = []
    for row, result in enumerate(results):
        if isinstance(result, UnreadableError):
            bad[row] = result.reason
            continue
        place = row - len(bad)
        ((array[place], sizes[place], found), reading), contents[place] = result
        prints += [] if found is None else [found]
        _note(row, reading, repaired, largest)
    kept = count - len(bad)
    taken = Fingerprints.of(prints) if with_prints else None
    return Decoded(pixels[:kept], bad, contents[:kept], repaired, largest, sizes[:kept], taken)


def check_all(images: Iterable[Encoded], *, with_prints: bool = False) -> Checked:
    """Decode each image once, in threads, and keep none; see `decode_all`."""
    sizes, contents = [], []
    bad, repaired, largest = dict[int, str](), dict[int, str](), dict[int, int]()
    prints: list[Fingerprint] = []
    work = partial(with_image, work=partial(_printed, lambda _: None, with_prints))
    for row, result in enumerate(in_threads(with_content(work), images)):
        if isinstance(result, UnreadableError):
            bad[row] = result.reason
            continue
        ((_, size, found), reading), content = result
        sizes.append(size)
        contents.append(content)
        prints += [] if found is None else [found]
        _note(row, reading, repaired, largest)
    measured = np.array(sizes, np.int64).reshape(-1, 2)
    taken = Fingerprints.of(prints) if with_prints else None
    return Checked(measured, bad, np.array(contents, np.uint64), repaired, largest, taken)


def _note(row: int, reading: Reading, repaired: dict[int, str], largest: dict[int, int]) -> None:
    if reading.ignored:
        repaired[row] = reading.said
    if reading.largest is not None:
        largest[row] = reading.largest


def read_images(
    paths: Sequence[Path], image_size: int, bits: int = 16, framing: Framing = CROP
) -> tuple[UInt8[Tensor, "n 3 s s"], list[tuple[str, str]], list[tuple[str, str]]]:
    """Decode files for prediction.

    Args:
        paths: the files.
        image_size: side of the result in pixels.
        bits: as for `decode`.
        framing: how each becomes a square.

    Returns:
        (n, 3, S, S) the readable images in the order of `paths`, (path, reason) of the others, and (path, what was
        ignored) of readable ones that are damaged beside their pixels.
    """
    found = decode_all(paths, len(paths), image_size, bits=bits, framing=framing)
    bad = [(str(paths[row]), reason) for row, reason in found.bad.items()]
    return found.images, bad, [(str(paths[row]), what) for row, what in found.repaired.items()]
