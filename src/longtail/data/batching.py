"""A split and an order become batches."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from longtail.data.dataset import Split
from longtail.data.images import ImageFiles
from longtail.types import Batch

_AHEAD = 3


def batches(
    split: Split,
    order: Int[Tensor, " k"],
    batch_size: int,
    device: torch.device | str,
    *,
    workers: int = 0,
    part: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Batch]:
    """Walk through `order` in batches of uint8 images on `device`; the last may be smaller.

    A split in memory is indexed where it lies: move it first (`split.to(device)`) and nothing is copied
    again. Images on disk are decoded a few batches ahead.

    Args:
        split: images and targets.
        order: (K,) rows to show; they become `Batch.index`.
        batch_size: images in a batch, >= 1.
        device: where the batch goes.
        workers: threads that decode images on disk; 0 decodes in the caller's thread.
        part: picks, from the rows of a batch, those whose images are wanted; target and index are always whole.

    Raises:
        InputError: an image on disk cannot be read.
    """
    targets = split.targets
    rows = order.to(split.images.device if isinstance(split.images, Tensor) else "cpu")
    chunks = torch.split(rows, batch_size) if len(rows) else ()
    shown = chunks if part is None else tuple(part(chunk) for chunk in chunks)
    for chunk, images in zip(chunks, _images(split.images, shown, workers), strict=True):
        yield Batch(
            images.to(device, non_blocking=True),
            targets[chunk.to(targets.device)].to(device, non_blocking=True),
            chunk.to(device, non_blocking=True),
        )


def _images(
    images: UInt8[Tensor, "n 3 h w"] | ImageFiles, chunks: tuple[Tensor, ...], workers: int
) -> Iterator[Tensor]:
    if isinstance(images, Tensor):
        return (images[chunk] for chunk in chunks)
    if workers == 0:
        return (images.stack(map(images.read, chunk.tolist())) for chunk in chunks)
    return _decoded_ahead(images, chunks, workers)


def _decoded_ahead(files: ImageFiles, chunks: tuple[Tensor, ...], workers: int) -> Iterator[Tensor]:
    pool = ThreadPoolExecutor(workers)
    waiting: deque[list[Future[Tensor]]] = deque()
    try:
        for chunk in chunks:
            waiting.append([pool.submit(files.read, row) for row in chunk.tolist()])
            if len(waiting) > _AHEAD:
                yield files.stack(future.result() for future in waiting.popleft())
        while waiting:
            yield files.stack(future.result() for future in waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
