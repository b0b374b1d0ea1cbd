"""Which folders of a tree are splits and which are classes, and where that cannot be believed."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from longtail.data.entries import has_images
from longtail.data.folder_words import are_aspects, is_no_class, is_series, words_of
from longtail.data.listing import PARTS, part_of
from longtail.data.walking import holds_images, subfolders, walk_images
from longtail.types import InputError

_PICTURES = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"})
_ANNOTATIONS = frozenset({
    "labels", "label", "annotations", "annotation", "annots", "imagesets", "masks", "mask", "segmentationclass",
    "segmentationobject", "ground_truth", "groundtruth", "gt", "bboxes", "boxes", "xml", "xmls",
})  # fmt: skip
_CONTAINERS = _PICTURES | {"data", "dataset", "datasets", "classes", "all"}
_FOLD = re.compile(
    r"(fold|split|part|set|subset|cv|chunk|shard|round|batch|partition)[ _-]?\d+", re.IGNORECASE
)
_SHOWN = 5


def part_folders(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """Part -> its folder; empty for a flat tree of classes.

    A folder called `train` that holds images directly, among other classes, is a class.

    Args:
        root: the tree.
        folders: those directly in it.

    Raises:
        InputError: two folders for one split, or one that could be a split and a class.
    """
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if (part := part_of(folder.name)) is not None:
            found.setdefault(part, []).append(folder)
    for several in found.values():
        if len(several) > 1:
            raise InputError(f"{several[0]} and {several[1]} are both the same split; keep one of them")
    parts = {part: found[part][0] for part in PARTS if part in found}
    others = [folder for folder in folders if folder not in parts.values()]
    if len(parts) == 1 and others and _is_class(next(iter(parts.values())), others):
        return {}
    return parts


def refuse_implausible(folder: Path, classes: Sequence[Path]) -> list[str]:
    """Look at class folders before their images are listed.

    Args:
        folder: the tree, or the folder of a split.
        classes: the folders directly in it.

    Returns:
        What to say where another reading is as likely.

    Raises:
        InputError: the names of the folders, and of those in them, say that these are no classes.
    """
    _refuse_annotations(folder, classes)
    deep = {path: below for path in classes if not has_images(path) and (below := subfolders(path))}
    _refuse_parts_below(folder, classes, deep)
    _refuse_parts(folder, [path for path in classes if path in deep or has_images(path)], deep)
    _refuse_other_words(folder, classes, deep)
    return _same_below(folder, classes, deep) or _one_too_high(folder, classes, deep)


def _is_class(folder: Path, others: Sequence[Path]) -> bool:
    """Whether the one folder that is called as a split is a class among others."""
    below = [path for path in subfolders(folder) if holds_images(path)]
    beside = [path for path in others if has_images(path)]
    names = _names(beside)
    if not below and (not beside or not has_images(folder) or folder.name.lower() == "train"):
        return True
    if not below:
        raise InputError(
            f"{folder} holds images but no class folders, beside the classes {names}; move it away, or rename it if it "
            "is a class"
        )
    if beside:
        raise InputError(
            f"{folder} could be a class beside {names}, or the folder of a split; if it is a class, rename it; if it "
            f"is a split, move {names} away or give it alone: {_train(folder)}"
        )
    inner = {path.name for path in below}
    twins = [
        path
        for path in others
        if not is_no_class(path.name)
        and any(one.name in inner and holds_images(one) for one in subfolders(path))
    ]
    if twins:
        raise InputError(
            f"{folder} could be a class beside {_names(twins)}, which hold such subfolders too ({_names(below)}), or "
            f"the folder of a split; if it is a split, give it alone: {_train(folder)}; if it is a class, rename it"
        )
    return False


def _refuse_annotations(folder: Path, classes: Sequence[Path]) -> None:
    """Sets made for detection or segmentation: YOLO, VOC, COCO, pairs of images and masks."""
    named = {path.name.lower(): path for path in classes}
    pictures = [path for name, path in named.items() if name in _PICTURES]
    others = [path for name, path in named.items() if name in _ANNOTATIONS]
    if not (pictures and others):
        return
    below = [path for path in subfolders(pictures[0]) if holds_images(path)]
    remedy = "list its images with one class each in a table: path,label"
    if (
        below
        and not has_images(pictures[0])
        and not all(part_of(one.name) and has_images(one) for one in below)
    ):
        remedy = f"if {_names(below)} are its classes or splits: {_train(pictures[0])}"
    raise InputError(
        f"{folder} holds {_names([*pictures, *others])}: images with annotations beside them, not class folders; "
        f"{remedy}"
    )


def _refuse_parts_below(folder: Path, classes: Sequence[Path], deep: dict[Path, list[Path]]) -> None:
    """Folders that hold splits: the tree is one too high, or its classes lie above the splits."""
    inner = {path: {part_of(one.name): one for one in below} for path, below in deep.items()}
    all_parts = not any(map(has_images, classes)) and all(None not in parts for parts in inner.values())
    holding = [
        path
        for path, parts in inner.items()
        if all_parts or ("train" in parts and parts.keys() & {"val", "test"})
    ]
    if not holding:
        return
    first = holding[0]
    part = next(one for name, one in inner[first].items() if name is not None)
    seen = f"{first} holds {_names(deep[first])}"
    if has_images(part):
        raise InputError(
            f"{seen}, so the splits lie below the classes; put them above ({folder / part.name / first.name}), or "
            "give a table of path, label and split"
        )
    several = f" (as do {len(holding) - 1} more)" if len(holding) > 1 else ""
    raise InputError(
        f"{seen}{several}, the parts of a set of its own; {folder} is one folder too high: {_train(first)}"
    )


def _refuse_parts(folder: Path, classes: Sequence[Path], deep: dict[Path, list[Path]]) -> None:
    """Folders whose names speak of splits in other words (`train2017`, `fold1`) are no classes."""
    if len(classes) < 2:
        return
    parts = {path: part for path in classes if (part := _part_in(path.name)) is not None}
    if len(set(parts.values())) > 1 and 2 * len(parts) >= len(classes):
        remedy = "rename " + " and ".join(f"{path.name} to {part}" for path, part in parts.items())
        if any(path not in deep for path in parts):
            remedy = "put their images into a folder for each class, or give a table of path, label and split"
        raise InputError(f"{_names(list(parts))} in {folder} are called as parts, not as classes; {remedy}")
    if (
        all(_FOLD.fullmatch(path.name) for path in classes)
        and len(deep) == len(classes)
        and (shared := _shared(deep))
    ):
        raise InputError(
            f"{_names(classes)} in {folder} are no classes: all hold {_names(shared)}; give one of them "
            f"({_train(classes[0])}), name them train, val and test, or give a table of path, label and split"
        )


def _refuse_other_words(folder: Path, classes: Sequence[Path], deep: dict[Path, list[Path]]) -> None:
    """Folders that are called as other splits or steps of processing (`dev`, `labeled`), with folders in them."""
    full = [path for path in classes if path in deep or has_images(path)]
    inner = {path: [one for one in deep[path] if holds_images(one)] for path in full if path in deep}
    if max(map(len, inner.values()), default=0) < 2 or not all(is_no_class(path.name) for path in full):
        return
    if len(full) > 1 and (len(inner) < len(full) or _shared(deep)):
        largest = max(inner, key=lambda path: sum(1 for _ in walk_images(path)))
        raise InputError(
            f"{_names(full)} in {folder} are called as parts, years or steps of processing, not as classes; "
            f"{largest.name} holds {_names(inner[largest])}; {_ways_on(largest)}"
        )


def _same_below(folder: Path, classes: Sequence[Path], deep: dict[Path, list[Path]]) -> list[str]:
    """Classes without images of their own that hold the same subfolders: cameras, or the true classes."""
    if len(classes) < 2 or len(deep) < len(classes):
        return []
    shared, every = _shared(deep), {path.name for below in deep.values() for path in below}
    if len(shared) < 2 or 2 * len(shared) < len(every) or is_series(shared):
        return []
    seen = f"the classes {_names(classes)} hold no images themselves but the same subfolders {_names(shared)}"
    if not are_aspects(shared) and (len(shared) == len(every) or is_series([path.name for path in classes])):
        raise InputError(f"in {folder}, {seen}; if these are the classes: {_ways_on(classes[0])}")
    return [
        f"{seen}; if these are the classes, put {folder / classes[0].name / shared[0]} and the like into one folder a "
        "class"
    ]


def _ways_on(folder: Path) -> str:
    return (
        f"train on one of them ({_train(folder)}), or say which folder is the class in a table of path and label, "
        "and split where there are parts (longtail train TABLE.csv)"
    )


def _one_too_high(folder: Path, classes: Sequence[Path], deep: dict[Path, list[Path]]) -> list[str]:
    """One folder that holds all the classes."""
    full = [path for path in classes if has_images(path) or (path in deep and holds_images(path))]
    if len(full) != 1 or full[0] not in deep:
        return []
    only = full[0]
    below = [path for path in deep[only] if holds_images(path)]
    names = [path.name for path in below]
    if len(below) < 2 or is_series(names):
        return []
    seen = f"all images of {folder} lie in {only.name}, in its folders {_names(below)}"
    if only.name.lower() in _CONTAINERS or only.name.lower() == folder.resolve().name.lower():
        raise InputError(
            f"{seen}; these are the classes, so give the folder that they lie in: {_train(only)}"
        )
    return [f"{seen}; if these are the classes: {_train(only)}"]


def _part_in(name: str) -> str | None:
    """The split that a word of a name means: `train2017`, `seg_test`, `Validation images`."""
    found = {part for word in words_of(name) if (part := part_of(word)) is not None}
    return found.pop() if len(found) == 1 else None


def _shared(deep: dict[Path, list[Path]]) -> list[str]:
    """The names of subfolders that all of them hold."""
    sets = [{path.name for path in below} for below in deep.values()]
    return sorted(set.intersection(*sets)) if sets else []


def _names(paths: Sequence[Path | str]) -> str:
    shown = [path if isinstance(path, str) else path.name for path in paths[:_SHOWN]]
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(shown) + more


def _train(folder: Path) -> str:
    return f"longtail train {shlex.quote(str(folder))}"
