"""Named images as batches that a network takes, with what could not be read."""

from collections import deque
from collections.abc import Iterable, Iterator

import torch

from longtail.data.images import Decoded
from longtail.data.opening import Encoded
from longtail.predict.unreadable import Unreadable
from longtail.types import Batch


class NamedBatches:
    """The names of images between the moment that these are taken and the moment that they are answered.

    Args:
        images: each with its name.
        unreadable: filled with (name, reason).
        repaired: filled with (name, what was ignored) of those that are damaged beside their pixels.

    Attributes:
        waiting: of each batch that was decoded and not answered yet, the N names, and which of 0 ... N - 1 can be read.
    """

    def __init__(
        self, images: Iterable[tuple[str, Encoded]], unreadable: Unreadable, repaired: Unreadable
    ) -> None:
        self.waiting = deque[tuple[tuple[str, ...], list[int]]]()
        self._images, self._unreadable, self._repaired = images, unreadable, repaired
        self._taken = deque[str]()

    def encoded(self) -> Iterator[Encoded]:
        """The images, to be decoded."""
        for name, image in self._images:
            self._taken.append(name)
            yield image

    def readable(self, decoded: Iterable[Decoded], device: torch.device) -> Iterator[Batch]:
        """Batches of what could be read; none for a batch of which nothing could."""
        for pixels, bad, _, damaged, *_ in decoded:
            names = tuple(self._taken.popleft() for _ in range(len(pixels) + len(bad)))
            self._unreadable.extend((names[row], reason) for row, reason in bad.items())
            self._repaired.extend((names[row], what) for row, what in damaged.items())
            self.waiting.append((names, [row for row in range(len(names)) if row not in bad]))
            if len(pixels):
                index = torch.arange(len(pixels), device=device)
                yield Batch(pixels.to(device), torch.zeros_like(index), index)
