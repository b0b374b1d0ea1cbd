"""Words of a recipe that several layers know: where images come from, how they are drawn, how they become square."""

import os
import pkgutil
from functools import cache
from pathlib import Path
from typing import Literal

Sampler = Literal["instance", "class_balanced", "square_root", "progressive", "reverse", "effective", "power"]
"""How an epoch's images are drawn, see `longtail.data.epoch_order`."""
Fit = Literal["crop", "pad", "squash"]
"""How an image that is not square becomes so: its largest centred square, the whole image between borders of one
colour, or the whole image with both sides brought to one length."""
Bits = Literal[8, 10, 12, 14, 16]
"""How many bits the values of images of 16 bits use."""
VIEWS = {
    1: "the image",
    2: "the image and its mirror image",
    5: "the image and its four corners",
    10: "the image, its four corners, and the mirror images of all five",
}
"""How many views can be asked for, and what they are."""


ELSEWHERE = [folder for folder in os.environ.get("LONGTAIL_SOURCES", "").split(os.pathsep) if folder]
"""Folders with more sources of the user's own images, from the environment variable (separated as in PATH)."""


@cache
def _files(kind: str, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    folders = [str(Path(__file__).with_name("data") / "sources" / kind), *more]
    found = sorted(module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_"))
    return tuple(found)


def own_sources() -> tuple[str, ...]:
    """Sources of the user's own images, by the form in which they lie.

    They are the files of `longtail.data.sources.own` and of the folders that LONGTAIL_SOURCES names.
    """
    return _files("own", tuple(ELSEWHERE))


def named_sources() -> tuple[str, ...]:
    """Sets that are the same for everybody: the files of `longtail.data.sources.named`."""
    return _files("named")


def data_name(source: str, path: str | None) -> str:
    """What the images are called: a named set by its name, one's own by their folder or file.

    >>> data_name("cifar10", "/data"), data_name("folder", "/me/birds.v2"), data_name("table", "birds.csv")
    ('cifar10', 'birds.v2', 'birds')
    """
    if path is None or source not in own_sources():
        return source
    return Path(path).name if source in ("folder", "packed") else Path(path).stem
