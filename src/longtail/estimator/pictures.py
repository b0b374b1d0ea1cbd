"""What an estimator is given: paths or pixels with labels, and the set of images that they become."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from longtail.csv_text import csv_text
from longtail.data.content import content_number
from longtail.data.dataset import counted
from longtail.data.missing import why_missing
from longtail.data.packed_set import write_manifest, write_part
from longtail.data.rows import ordered
from longtail.predict.inputs import CHANNELS
from longtail.runs.atomic_write import atomic_write
from longtail.text_file import encode
from longtail.types import InputError

Pictures = list[Path] | UInt8[np.ndarray, "n h w 3"]
VALID = "give paths of image files, or uint8 images of shape (N, H, W, 3) or (N, H, W)"


def as_pictures(X: Any) -> Pictures:
    """Paths or pixels, in whatever sequence they come.

    Args:
        X: N paths (str or Path), or uint8 images (N, H, W, 3) or, grey, (N, H, W).

    Raises:
        InputError: it is something else, or empty.
    """
    words = isinstance(X, list | tuple) and any(isinstance(value, str | os.PathLike) for value in X)
    try:
        array = np.asarray(X, dtype=object if words else None)  # else numpy makes text of numbers among paths
    except ValueError:
        raise InputError(f"X holds images of different shapes; {VALID}, all alike") from None
    if array.ndim == 0:
        raise InputError(f"X is a single {type(X).__name__}; {VALID}")
    if len(array) == 0:
        raise InputError(f"X has 0 images; {VALID}")
    if array.dtype == np.uint8 and array.ndim in (3, 4) and array.size:
        grey = array.ndim == 3
        if grey and array.shape[2] <= CHANNELS:
            raise InputError(f"X of shape {array.shape} is one image; {VALID}")
        if grey or array.shape[3] == 3:
            return np.repeat(array[..., None], 3, axis=-1) if grey else array
    column = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if column.ndim == 1 and column.dtype.kind in "OUT":
        values = column.tolist()
        other = next((value for value in values if not isinstance(value, str | os.PathLike)), None)
        if other is None and all(isinstance(os.fspath(value), str) for value in values):
            return [Path(value).absolute() for value in values]
        if other is not None:
            raise InputError(f"X holds {other!r}, a {type(other).__name__}; {VALID}")
    raise InputError(f"X is {array.dtype} of shape {array.shape}; {VALID}")


def class_names(labels: NDArray[Any]) -> list[str]:
    """The name of each distinct label: its text.

    Raises:
        InputError: a label is blank, or two have the same text.
    """
    names = [str(label) for label in labels.tolist()]
    if any(not name.strip() for name in names):
        raise InputError("y holds a blank label; give each class a name")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"y holds two labels that both read {twice!r}; rename one of them")
    return names


def write_pictures(
    place: Path, pictures: Pictures, names: Sequence[str], groups: Sequence[str] | None
) -> Path:
    """Write a set that `longtail train` reads: a table of paths, or a packed set of pixels.

    Args:
        place: where, without an ending; nothing is there yet.
        pictures: N paths or images.
        names: (N,) class of each.
        groups: (N,) group of each, "" for an image by itself; None where there are none.

    Returns:
        The table or folder.

    Raises:
        InputError: no file exists, or the set cannot be written.
    """
    if isinstance(pictures, list) and not any(path.exists() for path in pictures):
        raise InputError(
            f"none of {counted(len(pictures), 'image')} of X exists, such as {pictures[0]}"
            f"{why_missing(str(pictures[0]))}; give whole paths, or paths from the working folder"
        )
    target = place.with_name(f"{place.name}.csv") if isinstance(pictures, list) else place
    if target.exists():
        raise InputError(f"{target} exists; remove it, or choose another out")
    with atomic_write(target, "then repeat, or choose another out") as made:
        if isinstance(pictures, list):
            _write_table(made, pictures, names, groups)
        else:
            _write_packed(made, pictures, names, groups)
    return target


def remove_pictures(target: Path) -> None:
    """Take away what `write_pictures` wrote."""
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _write_packed(
    folder: Path, pixels: UInt8[np.ndarray, "n h w 3"], names: Sequence[str], groups: Sequence[str] | None
) -> None:
    folder.mkdir()
    classes = ordered(names)
    position = {name: c for c, name in enumerate(classes)}
    rows = (
        (str(n), position[name], image, content_number(image))
        for n, (name, image) in enumerate(zip(names, pixels, strict=True))
    )
    grouped = None if groups is None else {str(n): group for n, group in enumerate(groups)}
    part = write_part(folder, "train", classes, rows, grouped) | {"unreadable": []}
    write_manifest(folder, {"train": part}, short_side=min(pixels.shape[1:3]), source="arrays", is_flat=True)


def _write_table(
    file: Path, paths: Sequence[Path], names: Sequence[str], groups: Sequence[str] | None
) -> None:
    columns = {"path": [str(path) for path in paths], "label": names}
    if groups is not None:
        columns["group"] = groups
    file.write_bytes(encode(csv_text([[*columns], *zip(*columns.values(), strict=True)])))
