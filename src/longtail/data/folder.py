"""Folders of images: a folder per class, with or without train, val and test folders above."""

from pathlib import Path

import numpy as np

from longtail.data.dataset import counted
from longtail.data.formats import SUFFIXES
from longtail.data.images import is_hidden, walk_images
from longtail.data.listing import SPLITS, Listing, Source
from longtail.data.parquet import parquet_files
from longtail.data.rows import natural
from longtail.types import InputError

LAYOUT = "expected PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE, PATH/CLASS/IMAGE, or a table of paths and labels"


def read_folder(root: Path) -> Source:
    """List a tree of class folders.

    A class is a folder directly under `train/`, `val/` and `test/` (any case, see SPLITS), or under the root where
    there are none of these; images in deeper folders belong to it. Hidden files are skipped. Names are
    text and in natural order. A folder called Train among other classes, with images directly in it, is a class.

    Args:
        root: the folder.

    Raises:
        InputError: it does not exist, is a file, holds no class folders with images, or two folders for one part.
    """
    if not root.exists():
        raise InputError(f"{root} does not exist; {LAYOUT}")
    if root.is_file():
        raise InputError(f"{root} is a file, not a folder of images; {LAYOUT}")
    folders = _split_folders(root)
    if not folders:
        return Source(_read_part(root, root), is_flat=True)
    parts = {split: _read_part(root, folder) for split, folder in folders.items()}
    others = [folder.name for folder in _folders(root) if folder not in folders.values()]
    beside = ", ".join(folder.name for folder in folders.values())
    found = counted(len(others), "folder")
    remarks = [f"{found} beside {beside} not read: {', '.join(others)}"] if others else []
    return Source(parts.get("train"), parts.get("val"), parts.get("test"), remarks=tuple(remarks))


def _folders(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir(), key=lambda path: path.name)
    return [path for path in inside if path.is_dir() and not is_hidden(path.name)]


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each part that there is; none for a flat tree of classes."""
    inside = _folders(root)
    named = {
        split: [folder for folder in inside if folder.name.lower() in names]
        for split, names in SPLITS.items()
    }
    found = [folder for folders in named.values() for folder in folders]
    if len(found) == 1 and len(inside) > 1 and not _folders(found[0]):
        return {}  # a class that bears a part's name, among other classes
    for folders in named.values():
        if len(folders) > 1:
            raise InputError(f"{folders[0]} and {folders[1]} are both the same part; keep one of them")
    return {split: folders[0] for split, folders in named.items() if folders}


def _read_part(root: Path, folder: Path) -> Listing:
    inside = sorted(folder.iterdir())
    class_folders = sorted(_folders(folder), key=lambda path: natural(path.name))
    files = [list(walk_images(path)) for path in class_folders]
    paths = tuple(file for group in files for file in group)
    if len(paths) == 0:
        if any(path.suffix.lower() in SUFFIXES for path in inside):
            raise InputError(f"{folder} holds images but no class folders; {LAYOUT}")
        if parquet_files(folder):
            raise InputError(f"{folder} holds Parquet files; read them with: --set data.name=parquet")
        if any(folder.glob("*.parquet")):
            raise InputError(
                f"{folder} holds Parquet files; name them train-*.parquet and test-*.parquet, or give one of them"
            )
        raise InputError(f"no images in {folder}; {LAYOUT}")
    return Listing(
        class_names=tuple(path.name for path in class_folders),
        targets=np.repeat(np.arange(len(files)), [len(group) for group in files]),
        ids=tuple(path.relative_to(root).as_posix() for path in paths),
        fetch=lambda rows: (paths[row] for row in rows),
        on_disk=paths.__getitem__,
    )
