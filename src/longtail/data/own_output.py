"""Which folders longtail itself wrote: by the names of their files, and by what these hold where images lie beside."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from longtail.data.entries import (
    could_be_an_image,
    has_images,
    is_empty,
    is_folder,
    is_passed_over,
    lies_among,
    scanned,
)
from longtail.errors import InputError
from longtail.records import decoded, parse_json, parse_toml, read_bytes
from longtail.runs import layout

_MARKS = (  # names that are together in a folder that longtail wrote; the first file proves it
    (layout.RECIPE, layout.CLASSES), (layout.RECIPE, layout.STATUS), (layout.RECIPE, layout.ENVIRONMENT),
    (layout.AUDIT, layout.COUNTS), (layout.EXPLAINED, layout.SHEET), (layout.PACKED,),
    (layout.EXPORTED, layout.EXPORTED_WEIGHTS, layout.PREPROCESSOR),
)  # fmt: skip
_KEYS = {  # such a file -> what it holds
    layout.RECIPE: {"data", "model", "method", "optim"},
    layout.AUDIT: {"counts", "left_out", "duplicates"},
    layout.EXPLAINED: {"rule", "layer", "images"},
    layout.PACKED: {"format", "short_side", "parts"},
    layout.EXPORTED: {"longtail_version", "recipe"},
}
_SMALL_PICTURE = re.compile(r"\d\d+(-\d+)?\.webp")  # of an explanation
_RUNS = "runs"  # where runs lie by default; while the first one begins, its folder is empty


def is_own(folder: Path, levels: int = 3) -> bool:
    """Whether longtail wrote a folder, or all folders in it, `levels` deep, with no images beside them.

    A folder that is named as ours and holds images that we do not write is ours only where the content of a file says
    so; a file that merely has the name of one of ours makes no class disappear.
    """
    if found := marks(folder):
        return next(images_of_others(folder), None) is None or any(map(_is_proof, found))
    if levels == 0 or has_images(folder):
        return False
    folders = [entry for entry in scanned(folder) if is_folder(entry) and not entry.name.startswith(".")]
    some = False
    for entry in folders:
        path = folder / entry.name
        if entry.is_symlink() or (not (own := is_own(path, levels - 1)) and not is_empty(path)):
            return False
        some = some or own
    return some or (folder.name == _RUNS and bool(folders))


def marks(folder: Path) -> list[Path]:
    """The files by whose names a folder looks as if longtail wrote it; empty where it does not."""
    # `Path.exists` raises where the folder is closed; who lists it afterwards says so
    found = [
        name for names in _MARKS if all(map(os.path.exists, (folder / n for n in names))) for name in names
    ]
    return [folder / name for name in dict.fromkeys(found)]


def images_of_others(folder: Path) -> Iterator[Path]:
    """What could be images below a folder, or leads to some, and is none of the pictures that longtail writes."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_passed_over(name)]
        yield from (path for name in folders if (path := Path(parent, name)).is_symlink())
        paths = (Path(parent, name) for name in files)
        yield from (path for path in paths if not _is_ours(path) and could_be_an_image(path))


def _is_ours(path: Path) -> bool:
    """Whether a file has the name and place of a picture, or of pixels, that longtail writes."""
    if path.suffix == ".pixels":
        return (path.parent / layout.PACKED).exists()
    if path.parent.name == layout.PLOTS:
        return path.suffix == ".png" and (path.parent.parent / layout.RECIPE).exists()
    if path.name == layout.COUNTS_PLOT:
        return (path.parent / layout.AUDIT).exists()
    is_explanation = path.name == layout.SHEET or _SMALL_PICTURE.fullmatch(path.name) is not None
    return is_explanation and (path.parent / layout.EXPLAINED).exists()


def _is_proof(file: Path) -> bool:
    """Whether a file holds what longtail writes under its name."""
    content: Any = None
    if file.name in _KEYS:
        with suppress(InputError):
            text = decoded(read_bytes(file, ""), str(file), "")
            content = (parse_toml if file.suffix == ".toml" else parse_json)(text, str(file), "")
    return isinstance(content, dict) and _KEYS[file.name] <= content.keys()


def said_among_images(out: Path, source: str | None) -> list[str]:
    """What to say of a run folder inside a folder of images, where it is by default if that is the working folder."""
    if source is None or not lies_among(out, source):
        return []
    return [f"{out} lies among the images of {source}: what reads these later leaves it out, and says so"]
