"""What Python gives to predict: paths, or images in memory; each has its place, and no two share one."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from longtail.data.left_out import Collector
from longtail.data.opening import Encoded
from longtail.predict.sources import ImageSources, files_of
from longtail.types import InputError

Item = str | os.PathLike[str] | bytes | NDArray[np.uint8] | Image.Image
CHANNELS = 4  # at most: a third axis that is longer is the width of grey images
VALID = (
    "give a path, a uint8 array (H, W, 3) or (H, W), a Pillow image, the bytes of an image file, a list of these, or "
    "an array (N, H, W, 3) or (N, H, W)"
)


def named_images(given: Any, beside: Collector) -> Iterator[tuple[str, Encoded]]:
    """Each image with its name, in the order given; a folder stands for its images in sorted order.

    The name is the path as given, and `image N` for what lies in memory, N its place from 0.

    Args:
        given: see `items_of`.
        beside: is given what else lies in folders, once their images were taken.

    Raises:
        InputError: see `items_of` and `ImageSources`.
    """
    items = items_of(given)
    paths = [os.fspath(item) for item in items if isinstance(item, str | os.PathLike)]
    if items and len(paths) == len(items):
        overlap = ImageSources(paths).overlap  # refuses where nothing can be read
        if overlap:
            warnings.warn(overlap, stacklevel=3)
    return (named for place, item in enumerate(items) for named in _named(place, item, beside))


def items_of(given: Any) -> list[Item]:
    """Images one by one.

    Args:
        given: a path (str or Path); pixels as uint8, (H, W), (H, W, 1) or (H, W, 2) grey, (H, W, 3) RGB, (H, W, 4)
            RGBA, read as on white; a Pillow image; the content of an image file as bytes; any sequence or
            iterator of these; or an array (N, H, W) or (N, H, W, 1 to 4). An array of three axes is one image where
            the last has at most 4 places; where only the first has 3 or 4, it could be either, and is refused.

    Raises:
        InputError: something else, which the message names, and what to give.
    """
    if isinstance(given, np.ndarray):
        return _items_of_array(given)
    if _is_item(given):
        return [given]
    if isinstance(given, bytearray | memoryview):
        return [bytes(given)]
    if isinstance(given, pd.DataFrame):
        raise InputError("a table is given; give its column of paths, such as table['path']")
    if isinstance(given, torch.Tensor):
        raise InputError(f"{_kind(given)} is given; {_remedy(given)}")
    if isinstance(given, Mapping | Set) or hasattr(given, "read") or not isinstance(given, Iterable):
        raise InputError(f"{_kind(given)} is given; {VALID}")
    return [_item(place, one) for place, one in enumerate(given)]


def _items_of_array(given: NDArray[Any]) -> list[Item]:
    column = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if column.ndim == 1 and column.dtype.kind in "OUT":
        return [_item(place, one) for place, one in enumerate(column.tolist())]
    if given.dtype == np.uint8:
        if _is_image(given):
            return [given]
        is_grey = given.ndim == 3 and given.shape[2] > CHANNELS
        if is_grey and given.shape[0] in (3, 4):
            raise InputError(
                f"{_kind(given)} is given, one image with the colours first or {given.shape[0]} grey ones; give the "
                "colours last (array.transpose(1, 2, 0)), or grey images as list(array)"
            )
        if (is_grey or (given.ndim == 4 and given.shape[3] <= CHANNELS)) and 0 not in given.shape[1:]:
            return list(given)
    if given.size == 0 and given.ndim == 1:  # np.array([]) is of floats
        return []
    raise InputError(f"{_kind(given)} is given; {_remedy(given)}")


def _item(place: int, one: Any) -> Item:
    if isinstance(one, bytearray | memoryview):
        return bytes(one)
    if not _is_item(one):
        remedy = _remedy(one) if isinstance(one, np.ndarray | torch.Tensor) else VALID
        raise InputError(f"image {place} is {_kind(one)}; {remedy}")
    return one  # type: ignore[no-any-return]


def _is_item(one: Any) -> bool:
    if isinstance(one, os.PathLike):
        return isinstance(os.fspath(one), str)
    return isinstance(one, str | bytes | Image.Image) or (
        isinstance(one, np.ndarray) and one.dtype == np.uint8 and _is_image(one)
    )


def _is_image(array: NDArray[Any]) -> bool:
    is_shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= CHANNELS)
    return is_shaped and 0 not in array.shape


def _kind(given: Any) -> str:
    """What it is, in a few words."""
    if isinstance(given, np.ndarray | torch.Tensor):
        what = "a torch tensor" if isinstance(given, torch.Tensor) else "an array"
        return f"{what} of {str(given.dtype).removeprefix('torch.')} and shape {tuple(given.shape)}"
    return "None" if given is None else f"a value of type {type(given).__name__}"


def _remedy(given: NDArray[Any] | torch.Tensor) -> str:
    if isinstance(given, torch.Tensor):
        return "give a uint8 array with the colours last, such as images.permute(0, 2, 3, 1).numpy()"
    if given.dtype.kind == "f":
        return "give uint8 from 0 to 255, for values from 0 to 1 np.rint(255 * images).astype(np.uint8)"
    if given.dtype.kind in "bui" and given.dtype != np.uint8:
        pixels = "images.astype(np.uint8)"
        how = (
            f"255 * {pixels}, false as black" if given.dtype == bool else f"{pixels} where no value is larger"
        )
        return f"give uint8 from 0 to 255, such as {how}"
    if 0 in given.shape:
        return "it holds no pixels; give images of 1 x 1 or more"
    if given.ndim == 4:
        return "give an array (N, H, W, 3), colours last: images.transpose(0, 2, 3, 1) where they come second"
    return VALID


def _named(place: int, item: Item, beside: Collector) -> Iterator[tuple[str, Encoded]]:
    if isinstance(item, str | os.PathLike):
        yield from ((name, Path(name)) for name in files_of(os.fspath(item), beside))
    else:
        yield named_image(place, item)


def named_image(place: int, item: Item) -> tuple[str, Encoded]:
    """One image with its name: a path is a file, whatever lies there."""
    if isinstance(item, str | os.PathLike):
        return os.fspath(item), Path(item)
    if isinstance(item, np.ndarray) and item.ndim == 3 and item.shape[2] == 1:
        item = item[..., 0]
    return f"image {place}", item
