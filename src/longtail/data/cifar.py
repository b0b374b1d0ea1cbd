"""CIFAR-10 and CIFAR-100: Parquet files, torchvision's files, or a download."""

from pathlib import Path
from typing import Literal

import numpy as np

from longtail.data.dataset import counted
from longtail.data.listing import Listing, Source
from longtail.data.options import Triple
from longtail.data.parquet_set import read_parquet
from longtail.data.shards import parquet_files
from longtail.machine import pass_on
from longtail.types import InputError

# The values every published CIFAR-LT recipe uses for both sets.
MEAN: Triple = (0.4914, 0.4822, 0.4465)
STD: Triple = (0.2023, 0.1994, 0.2010)
NUM_CLASSES = {"cifar10": 10, "cifar100": 100}
NUM_TRAIN = 50_000
LABELS = {"cifar10": ("label",), "cifar100": ("fine_label", "label")}
FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def read_cifar(name: Literal["cifar10", "cifar100"], path: Path | None) -> Source:
    """CIFAR with its 10,000 test images.

    Args:
        name: which of the two.
        path: a folder with Parquet files or with torchvision's extracted files; None downloads to
            `~/.cache/longtail`.

    Raises:
        InputError: neither is there, they are damaged, they hold another set, or the download failed.
    """
    if path is not None and parquet_files(path):
        found = read_parquet(path, LABELS[name])
    else:
        found = _read_torchvision(name, path)
    part = found.train or found.test
    if part is not None and len(part.class_names) != NUM_CLASSES[name]:
        raise InputError(
            f"{path} holds {counted(len(part.class_names), 'class')} but {name} has {NUM_CLASSES[name]}; "
            "use data.name=parquet for another set"
        )
    return Source(
        found.train, found.val, found.test, image_size=32, mean=MEAN, std=STD,
        is_flat=found.is_flat, num_train=NUM_TRAIN,
    )  # fmt: skip


def _read_torchvision(name: Literal["cifar10", "cifar100"], path: Path | None) -> Source:
    root = Path.home() / ".cache" / "longtail" if path is None else _root(name, path)
    from torchvision import datasets  # a second or more: only where its files are read

    read = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        parts = [read(root, train=train, download=path is None) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        pass_on(error)
        if path is None:
            raise InputError(
                f"cannot download {name} ({error}); give a folder that holds it with --data PATH"
            ) from None
        raise InputError(f"the {name} files in {root} are incomplete or damaged; fetch them again") from None
    return Source(_listing("train", parts[0]), test=_listing("test", parts[1]))


def _root(name: str, path: Path) -> Path:
    folder = FOLDERS[name]
    if path.name == folder and path.is_dir():
        return path.parent
    if not (path / folder).is_dir():
        raise InputError(
            f"no {name} in {path}; --data takes a folder with train-*.parquet and test-*.parquet, "
            f"or with {folder}/"
        )
    return path


def _listing(split: str, part: "object") -> Listing:
    pixels = np.asarray(part.data)  # type: ignore[attr-defined]
    targets = np.asarray(part.targets, dtype=np.int64)  # type: ignore[attr-defined]
    ids = tuple(f"{split}/{row}" for row in range(len(targets)))
    return Listing(tuple(part.classes), targets, ids, lambda rows: iter(pixels[rows]))  # type: ignore[attr-defined]
