"""Folders of images: a folder per class, with or without train, val and test folders above."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from longtail.data.folder_words import is_made
from longtail.data.layout import part_folders, refuse_implausible
from longtail.data.left_out import EXAMPLES, left_out_lines
from longtail.data.listing import Listing, Source
from longtail.data.own_output import is_own
from longtail.data.rows import natural
from longtail.data.shards import parquet_files
from longtail.data.source_form import SourceForm
from longtail.data.walking import Walker, holds_images
from longtail.types import InputError

LAYOUT = "expected PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE, PATH/CLASS/IMAGE, or a table of paths and labels"
NO_CLASS = "images beside the class folders, so of no class"


def read_folder(root: Path) -> Source:
    """List a tree of class folders.

    A class is a folder directly under `train/`, `val/` and `test/` (and other spellings, see `part_of`), or under the
    root where there are none of these; images in deeper folders belong to it. Names are text, in natural order. A
    folder called Train among other classes, with images directly in it, is a class. What else lies in the
    tree is in `left_out`.

    Args:
        root: the folder.

    Raises:
        InputError: it does not exist, is a file, or holds no class folders with images, two folders for one split, or
            folders that are plainly no classes.
    """
    if not root.exists():
        raise InputError(f"{root} does not exist; {LAYOUT}")
    if root.is_file():
        raise InputError(f"{root} is a file, not a folder of images; {LAYOUT}")
    if is_own(root):
        raise InputError(f"{root} was written by longtail and holds no images to read; give your images")
    walker = Walker(root)
    inside = walker.look(root)
    parts = part_folders(root, inside.folders)
    if parts:
        _leave_out_beside(walker, inside.images, inside.folders, parts)
        found = {part: walker.look(folder) for part, folder in parts.items()}
    else:
        found = {"train": inside}
    for part, one in found.items():
        if not one.folders and one.images:
            raise InputError(f"{parts.get(part, root)} holds images but no class folders; {LAYOUT}")
        for image in one.images:
            walker.leave_out(image, NO_CLASS)
    classes = {part: sorted(one.folders, key=lambda path: natural(path.name)) for part, one in found.items()}
    remarks = [refuse_implausible(parts.get(part, root), folders) for part, folders in classes.items()]
    images = _images(walker, classes)
    remarks.append(_said_of_made(root, images))
    listings = {
        part: _listing(root, parts.get(part, root), {folder: images[folder] for folder in folders}, walker)
        for part, folders in classes.items()
    }
    return Source(
        listings.get("train"), listings.get("val"), listings.get("test"), is_flat=not parts,
        remarks=tuple(line for lines in remarks for line in lines), left_out=walker.left_out(),
    )  # fmt: skip


def _leave_out_beside(
    walker: Walker, images: Iterable[Path], folders: Iterable[Path], parts: Mapping[str, Path]
) -> None:
    """What lies in the root beside the folders of splits."""
    names = ", ".join(folder.name for folder in parts.values())
    for image in images:
        walker.leave_out(image, f"beside {names}, so in no part")
    for folder in folders:
        if folder not in parts.values():
            is_problem = holds_images(folder)
            reason = "so in no part" if is_problem else "and without images"
            walker.leave_out(folder, f"beside {names}, {reason}", is_problem=is_problem)


def _images(walker: Walker, classes: Mapping[str, Sequence[Path]]) -> dict[Path, list[Path]]:
    """Class folder of any split -> its images."""
    found: dict[Path, list[Path]] = {folder: [] for folders in classes.values() for folder in folders}
    for folder, image in walker.walk(*found):
        found[folder].append(image)
    return found


def _said_of_made(root: Path, images: Mapping[Path, Sequence[Path]]) -> list[str]:
    """What to say of images in folders of classes that are called as copies, drawings or what was put aside."""
    found: Counter[str] = Counter()
    for top, files in images.items():
        for folder, count in Counter(map(os.path.dirname, files)).items():
            inner = Path(folder).relative_to(top).parts
            depth = next((depth for depth, name in enumerate(inner, 1) if is_made(name)), 0)
            if depth:
                found[top.joinpath(*inner[:depth]).relative_to(root).as_posix()] += count
    if not found:
        return []
    names = [f"{place}/ ({count:,})" for place, count in found.items()]
    more = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    lie = "1 image lies" if found.total() == 1 else f"{found.total():,} images lie"
    return [
        f"{lie} in folders within classes that are called as copies, masks or what was put aside, and count as images "
        f"of their class: {', '.join(names[:EXAMPLES])}{more}; move them away if they are none"
    ]


def _listing(root: Path, folder: Path, images: Mapping[Path, Sequence[Path]], walker: Walker) -> Listing:
    paths = tuple(file for group in images.values() for file in group)
    if len(paths) == 0:
        if parquet_files(folder):
            raise InputError(f"{folder} holds Parquet files; read them with: --set data.name=parquet")
        if any(folder.glob("*.parquet")):
            raise InputError(
                f"{folder} holds Parquet files; name them train-*.parquet and test-*.parquet, or give one of them"
            )
        raise InputError(f"no images in {folder}; {LAYOUT}", left_out_lines(walker.left_out()))
    return Listing(
        class_names=tuple(path.name for path in images),
        targets=np.repeat(np.arange(len(images)), [len(group) for group in images.values()]),
        ids=tuple(path.relative_to(root).as_posix() for path in paths),
        fetch=lambda rows: (paths[row] for row in rows),
        on_disk=paths.__getitem__,
    )


FORM = SourceForm(
    "your images: --data PATH with train/CLASS/ and test/CLASS/, or CLASS/ folders alone",
    lambda place: read_folder(place.given),
)
