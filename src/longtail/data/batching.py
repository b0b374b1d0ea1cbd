"""A split and an order become batches."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from longtail.data.dataset import Split
from longtail.data.files import ImageFiles
from longtail.data.framing import Box
from longtail.types import Batch

Boxes = Callable[[Int[Tensor, " b"], Int[Tensor, "b 2"]], Int[Tensor, "b 4"]]
Chunk = tuple[Tensor, Tensor]
"""(B,) rows, and (B,) what keys the randomness of each."""
_AHEAD = 3
_BLOCK = 4  # images in one thread's task


def batch_sizes(images: int, batch_size: int) -> list[int]:
    """How many images each batch has: `batch_size`, and the last one what remains.

    A single image that remains joins the batch before it: batch norm cannot take statistics of one image where its
    maps have one place.

    >>> batch_sizes(8, 4), batch_sizes(7, 4), batch_sizes(9, 4), batch_sizes(1, 4)
    ([4, 4], [4, 3], [4, 5], [1])
    """
    sizes = [batch_size] * (images // batch_size)
    rest = images % batch_size
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def batches(
    split: Split,
    order: Int[Tensor, " k"],
    batch_size: int,
    device: torch.device | str,
    *,
    workers: int = 0,
    part: Callable[[Tensor], Tensor] | None = None,
    views: Sequence[Boxes | None] = (),
    repeats: Int[Tensor, " k"] | None = None,
) -> Iterator[Batch]:
    """Walk through `order` in batches of uint8 images on `device`, see `batch_sizes` for the last.

    A split in memory is indexed where it lies: move it first (`split.to(device)`) and nothing is copied
    again. Images on disk are decoded a few batches ahead.

    Args:
        split: images and targets.
        order: (K,) rows to show; they become `Batch.index`.
        batch_size: images in a batch, >= 1.
        device: where the batch goes.
        workers: threads that decode images on disk; 0 decodes in the caller's thread.
        part: picks, from the rows of a batch, those whose images are wanted; target and index are always whole.
        views: for images on disk: from rows (B,), or `repeats`, and heights and widths (B, 2) to the boxes, (B, 4) top,
            left, height, width. Each box is cut out of the original image and resized; with V views the batch
            has V*B images. None shows the image as it is loaded instead; without views the batch has B of these.
        repeats: (K,) numbers of what is shown, see `showings`; they become `Batch.repeats`.

    Raises:
        InputError: an image on disk cannot be read.
    """
    targets = split.targets
    rows = order.to(split.images.device if isinstance(split.images, Tensor) else "cpu")
    chunks = torch.split(rows, batch_sizes(len(rows), batch_size)) if len(rows) else ()
    keyed = chunks if repeats is None else torch.split(repeats.to(rows.device), [*map(len, chunks)])
    wanted = [
        (one, number) if part is None else (part(one), part(number))
        for one, number in zip(chunks, keyed, strict=True)
    ]
    for chunk, number, images in zip(
        chunks, keyed, _images(split.images, wanted, workers, views), strict=True
    ):
        staged = (
            torch.device(device).type == "cuda" and not images.is_cuda
        )  # else the copy waits for the device
        yield Batch(
            (images.pin_memory() if staged else images).to(device, non_blocking=True),
            targets[chunk.to(targets.device)].to(device, non_blocking=True),
            chunk.to(device, non_blocking=True),
            repeats=None if repeats is None else number.to(device, non_blocking=True),
        )


def _images(
    images: UInt8[Tensor, "n 3 h w"] | Int64[Tensor, "n 1 1 1"] | ImageFiles,
    chunks: Sequence[Chunk],
    workers: int,
    views: Sequence[Boxes | None],
) -> Iterator[Tensor]:
    if isinstance(images, Tensor):
        return (images[rows] for rows, _ in chunks)
    if workers == 0:
        return (_read_now(images, chunk, views) for chunk in chunks)
    return _read_ahead(images, chunks, workers, views)


def _read_now(files: ImageFiles, chunk: Chunk, views: Sequence[Boxes | None]) -> Tensor:
    batch, wanted = _empty(files, chunk, views)
    _fill(batch, files, wanted)
    return batch


def _read_ahead(
    files: ImageFiles, chunks: Sequence[Chunk], workers: int, views: Sequence[Boxes | None]
) -> Iterator[Tensor]:
    pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Tensor, list[Future[None]]]] = deque()

    def oldest() -> Tensor:
        batch, tasks = waiting.popleft()
        for task in tasks:
            task.result()
        return batch

    try:
        for chunk in chunks:
            batch, wanted = _empty(files, chunk, views)
            starts = range(0, len(wanted), _BLOCK)
            tasks = [pool.submit(_fill, batch[s : s + _BLOCK], files, wanted[s : s + _BLOCK]) for s in starts]
            waiting.append((batch, tasks))
            if len(waiting) > _AHEAD:
                yield oldest()
        while waiting:
            yield oldest()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@torch.inference_mode(False)  # threads fill it, and they know nothing of the caller's mode
def _empty(
    files: ImageFiles, chunk: Chunk, views: Sequence[Boxes | None]
) -> tuple[Tensor, list[tuple[int, Box | None]]]:
    """Room for a batch, the channels of a pixel side by side, and the row and box of each of its images."""
    rows, keyed = chunk[0].tolist(), chunk[1]
    sizes = torch.from_numpy(files.sizes[rows])
    boxes: list[Box | None] = []
    for view in views or (None,):
        boxes += [None] * len(rows) if view is None else map(tuple, view(keyed, sizes).tolist())
    wanted = list(zip(rows * max(1, len(views)), boxes, strict=True))
    shape = (len(wanted), files.image_size, files.image_size, 3)
    room = np.empty(
        shape, dtype=np.uint8
    )  # NumPy asks for huge pages, which are there sooner than many small ones
    return torch.from_numpy(room).permute(0, 3, 1, 2), wanted


def _fill(batch: Tensor, files: ImageFiles, wanted: Sequence[tuple[int, Box | None]]) -> None:
    for image, (row, box) in zip(batch, wanted, strict=True):
        image.copy_(files.read(row, box))
