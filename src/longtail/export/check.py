"""Whether an exported file says what the run says, on real images."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from longtail.data import read_images
from longtail.data.images import decode_all
from longtail.data.source_kinds import read_source
from longtail.machine import pass_on
from longtail.predict import Classifier, ImageSources, Predictor
from longtail.types import Batch, InputError

Item = TypeVar("Item")
IMAGES, BATCHES = 64, (1, 7, 64)
TOLERANCE, TIE = 1e-4, 1e-5


class Agreement(NamedTuple):
    """How well a file agrees with its run.

    Attributes:
        images: how many both were asked about.
        difference: largest difference of a probability, of all experts together or of one.
        changed: images whose label changed, though the run's two best classes were no tie.
    """

    images: int
    difference: float
    changed: int

    @property
    def good(self) -> bool:
        return self.difference <= TOLERANCE and self.changed == 0


def real_images(classifier: Classifier, data: str | Path | None = None) -> UInt8[Tensor, "n 3 s s"]:
    """At most 64 images, spread evenly: the run's own test, validation or training images, or those in `data`.

    Raises:
        InputError: there are none.
    """
    size = classifier.description["image_size"]
    if data is not None:
        images, *_ = read_images(_spread(list(ImageSources(data))), size, classifier.bits, classifier.framing)
    else:
        images = _own_images(classifier, size)
    if len(images) == 0:
        raise InputError(
            f"no readable image to compare the file with in {data or 'the data of the run'}; "
            "give images with --data PATH"
        )
    return images


def compare(classifier: Classifier, exported: Predictor, images: UInt8[Tensor, "n 3 s s"]) -> Agreement:
    """Ask the run and what was exported about the same images, the latter in batches of 1, 7 and 64."""
    expected = _probabilities(classifier, images, BATCHES[-1])
    difference, changed = torch.tensor(0.0), 0
    for size in BATCHES:
        found = _probabilities(exported, images, size)
        for a, b in zip(found, expected, strict=True):
            difference = torch.maximum(difference, (a - b).abs().max())  # keeps what is not a number
        changed = max(changed, _changed(found[0], expected[0]))
    return Agreement(len(images), float(difference), changed)


def _probabilities(
    predictor: Predictor, images: UInt8[Tensor, "n 3 s s"], size: int
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "m n c"]]:
    """Calibrated probabilities of all experts together, and of each, asked for in batches."""
    index = torch.arange(len(images))
    batches = (Batch(images[rows], torch.zeros_like(rows), rows) for rows in torch.split(index, size))
    _, together, each = zip(*predictor.infer(batches), strict=True)
    temperature = predictor.temperature
    return (
        (torch.cat(together) / temperature).softmax(dim=-1),
        (torch.cat(each, dim=1) / temperature).softmax(dim=-1),
    )


def _changed(found: Float[Tensor, "n c"], expected: Float[Tensor, "n c"]) -> int:
    own = expected.gather(1, found.argmax(dim=1, keepdim=True))[:, 0]
    return int((expected.amax(dim=1) - own > TIE).sum())


def _own_images(classifier: Classifier, size: int) -> UInt8[Tensor, "n 3 s s"]:
    try:
        source = read_source(classifier.recipe.data)
    except (InputError, OSError) as error:
        pass_on(error)
        raise InputError(
            f"the images of the run cannot be read ({error}); give images to compare the file with: --data PATH"
        ) from None
    listing = next((part for part in (source.test, source.val, source.train) if part is not None), None)
    if listing is None:
        return torch.empty((0, 3, size, size), dtype=torch.uint8)
    rows = np.array(_spread(range(len(listing.targets))), dtype=np.int64)
    framing = classifier.framing
    return decode_all(listing.fetch(rows), len(rows), size, bits=classifier.bits, framing=framing).images


def _spread(items: Sequence[Item]) -> list[Item]:
    """At most 64 of them, evenly."""
    places = np.linspace(0, len(items) - 1, min(len(items), IMAGES)).astype(int)
    return [items[place] for place in places]
