"""Test-time augmentation: probabilities averaged over several views of each image, mirror images and corners."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from longtail.choices import VIEWS
from longtail.train_arguments import whole_number
from longtail.types import Batch, InputError

Answers = Iterator[tuple[Batch, Tensor, Tensor]]
"""Batches with the joint logits (B, C) and each expert's logits (M, B, C)."""
CORNER = 7 / 8  # of the side: what a corner shows


class View(NamedTuple):
    """A view of the square that a network sees.

    Attributes:
        corner: 0 to 3, a square of CORNER of the side in a corner, enlarged to the whole; None: all of it.
        mirrored: left to right.
    """

    corner: int | None = None
    mirrored: bool = False


def views_of(count: int) -> list[View]:
    """The views that a count stands for, the image itself first."""
    corners = [None, 0, 1, 2, 3] if count >= 5 else [None]
    return [
        View(corner, mirrored)
        for mirrored in ([False, True] if count % 2 == 0 else [False])
        for corner in corners
    ]


def check_views(count: int, *, flips: bool) -> None:
    """Refuse a count that stands for nothing, and mirror images for a network that was trained without flips.

    Raises:
        InputError: see above.
    """
    if whole_number("views", count) not in VIEWS:
        choices = "; ".join(f"{number}: {what}" for number, what in VIEWS.items())
        raise InputError(f"{count} views are asked for; give one of these: {choices}")
    if count % 2 == 0 and not flips:
        raise InputError(
            f"{count} views hold mirror images, and the network was trained without flips, so that left and right may "
            "tell classes apart; give 1 or 5 views"
        )


def show(image: UInt8[Tensor, "b 3 s s"], view: View) -> UInt8[Tensor, "b 3 s s"]:
    """A view of each image."""
    if view.corner is not None:
        size = image.shape[-1]
        side = max(1, round(CORNER * size))
        top, left = ((size - side) * place for place in divmod(view.corner, 2))
        part = image[..., top : top + side, left : left + side].float()
        image = interpolate(part, (size, size), mode="bilinear").round_().clamp_(0, 255).to(torch.uint8)
    return image.flip(-1) if view.mirrored else image


def averaged(
    ask: Callable[[Iterator[Batch]], Answers], stream: Iterator[Batch], count: int, temperature: float
) -> Answers:
    """What is said of several views of each image, averaged over them as probabilities.

    Args:
        ask: gives the logits of batches, in their order.
        stream: batches of uint8 images.
        count: how many views, see VIEWS.
        temperature: what logits are divided by before the softmax.

    Yields:
        Each batch with logits whose softmax, after the temperature, is the average.
    """
    if count == 1:
        yield from ask(stream)
        return
    views = views_of(count)
    shown = (replace(batch, image=show(batch.image, view)) for batch in stream for view in views)
    answers = ask(shown)
    while several := list(islice(answers, count)):
        batches, together, each = zip(*several, strict=True)
        yield batches[0], _average(together, temperature), _average(each, temperature)


def _average(logits: tuple[Float[Tensor, "*batch c"], ...], temperature: float) -> Float[Tensor, "*batch c"]:
    likely = torch.stack([(one / temperature).log_softmax(dim=-1) for one in logits])
    return (likely.logsumexp(dim=0)) * temperature
