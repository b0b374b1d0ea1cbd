"""Folders of images: a folder per class, with or without train, val and test folders above."""

from pathlib import Path

import numpy as np

from longtail.data.images import SUFFIXES, is_hidden, walk_images
from longtail.data.listing import Listing, Source
from longtail.types import InputError

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
LAYOUT = "expected PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE, or PATH/CLASS/IMAGE"


def read_folder(root: Path) -> Source:
    """List a tree of class folders.

    A class is a folder directly under `train/`, `val/` and `test/`, or under the root where there are none of
    these; images in deeper folders belong to it. Hidden files are skipped. Names are text and
    sorted as text.

    Args:
        root: the folder.

    Raises:
        InputError: it does not exist, is a file, or holds no class folders with images.
    """
    if not root.exists():
        raise InputError(f"{root} does not exist; {LAYOUT}")
    if root.is_file():
        raise InputError(f"{root} is a file, not a folder of images; {LAYOUT}")
    parts = {}
    for split, names in SPLITS.items():
        folders = [root / name for name in names if (root / name).is_dir()]
        if folders:
            parts[split] = _read_part(root, folders[0])
    if not parts:
        return Source(_read_part(root, root), is_flat=True)
    return Source(parts.get("train"), parts.get("val"), parts.get("test"))


def _read_part(root: Path, folder: Path) -> Listing:
    inside = sorted(folder.iterdir(), key=lambda path: path.name)
    class_folders = [path for path in inside if path.is_dir() and not is_hidden(path.name)]
    files = [list(walk_images(path)) for path in class_folders]
    paths = np.array([file for group in files for file in group], dtype=object)
    if len(paths) == 0:
        if any(path.suffix.lower() in SUFFIXES for path in inside):
            raise InputError(f"{folder} holds images but no class folders; {LAYOUT}")
        raise InputError(f"no images in {folder}; {LAYOUT}")
    return Listing(
        class_names=tuple(path.name for path in class_folders),
        targets=np.repeat(np.arange(len(files)), [len(group) for group in files]),
        ids=tuple(path.relative_to(root).as_posix() for path in paths),
        fetch=lambda rows: iter(paths[rows]),
        on_disk=True,
    )
