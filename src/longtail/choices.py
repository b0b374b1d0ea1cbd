"""Words of a recipe that several layers know: where images come from, how they are drawn, how they become square."""

from pathlib import Path
from typing import Literal, get_args

Sampler = Literal["instance", "class_balanced", "square_root", "progressive", "reverse", "effective", "power"]
"""How an epoch's images are drawn, see `longtail.data.epoch_order`."""
Fit = Literal["crop", "pad", "squash"]
"""How an image that is not square becomes so: its largest centred square, the whole image between borders of one
colour, or the whole image with both sides brought to one length."""
Bits = Literal[8, 10, 12, 14, 16]
"""How many bits the values of images of 16 bits use."""
OwnSource = Literal["folder", "parquet", "packed", "table", "list", "inaturalist"]
"""Images of the user's own, by the form in which they lie."""
VIEWS = {
    1: "the image",
    2: "the image and its mirror image",
    5: "the image and its four corners",
    10: "the image, its four corners, and the mirror images of all five",
}
"""How many views can be asked for, and what they are."""


def data_name(source: str, path: str | None) -> str:
    """What the images are called: a named set by its name, one's own by their folder or file.

    >>> data_name("cifar10", "/data"), data_name("folder", "/me/birds.v2"), data_name("table", "birds.csv")
    ('cifar10', 'birds.v2', 'birds')
    """
    if path is None or source not in get_args(OwnSource):
        return source
    return Path(path).name if source in ("folder", "packed") else Path(path).stem
