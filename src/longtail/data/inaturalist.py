"""Annotations in the form of iNaturalist (and COCO): JSON with images, annotations and categories."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.data.listing import Source
from longtail.data.rows import Rows, files_of_parts, single, source_of_rows
from longtail.records import parse_json, read_bytes, short
from longtail.types import InputError

MOST = 2**32  # bytes of a file
_HEAD = 65_536
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def annotation_files(folder: Path) -> dict[str, list[Path]]:
    """Part -> the annotations of a folder, such as `train2018.json`; empty where none is of its training images."""
    found = files_of_parts(folder, "*.json")
    known = {part: [file for file in files if _is_annotation(file)] for part, files in found.items()}
    return {part: files for part, files in known.items() if files} if known.get("train") else {}


def read_inaturalist(path: Path, root: Path | None = None) -> Source:
    """One file of annotations, or a folder with one for each part.

    The labels of iNaturalist's test images were never published, and results on it are those on the validation
    images: where there are no labelled test images, `val*.json` is the test part. A class has its category's name,
    or its id where there is no name; a name that several categories share is followed by the id.

    Args:
        path: a file; or a folder with `train*.json` and, where there are, `val*.json` and `test*.json`.
        root: the folder that `file_name` starts from. Default: that of the annotations.

    Raises:
        InputError: no such file, two for one part, another form, an annotation of an unknown image or category,
            or see `source_of_rows`.
    """
    files = {"train": path} if path.is_file() else single(annotation_files(path))
    if not files:
        raise InputError(
            f"no annotations in {path}; expected train*.json with images, annotations and categories"
        )
    contents = {part: _read(file) for part, file in files.items()}
    reading = []
    if contents.get("test", {}).get("annotations") == []:
        del contents["test"]
        reading.append(f"{files['test'].name} has no labels and is not read")
    if "val" in contents and "test" not in contents:
        contents["test"] = contents.pop("val")
        files["test"] = files["val"]
        reading.append(
            f"{files['val'].name} is the test part, for there are no other labelled images to test on"
        )
    columns: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    unlabelled = 0
    for part, content in contents.items():
        pairs, bare = _pairs(files[part], content)
        unlabelled += bare
        for name, label in pairs:
            for column, value in zip(columns, (name, label, f"{files[part].name}", part), strict=True):
                column.append(value)
    rows = Rows(
        path, *columns[:3], None if path.is_file() else columns[3], reading=tuple(reading),
        remarks=(f"{unlabelled:,} images of {path} without a label, left out",) if unlabelled else (),
    )  # fmt: skip
    return source_of_rows(rows, root or (path.parent if path.is_file() else path))


def _is_annotation(file: Path) -> bool:
    with file.open("rb") as opened:
        return _KEYS.search(opened.read(_HEAD)) is not None


def _read(file: Path) -> dict[str, Any]:
    again = "fetch it again"
    content = parse_json(read_bytes(file, again, most=MOST), str(file), again, most=MOST)
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise InputError(f"{file} has no list of images; expected the keys {', '.join(keys)}")
    content.setdefault("annotations", [])
    content.setdefault("categories", [])
    return content


def _pairs(file: Path, content: Mapping[str, Any]) -> tuple[list[tuple[str, str]], int]:
    """File and class of each annotation, and how many images have none."""
    try:
        names = _class_names(content["categories"])
        images = {image["id"]: _text(image["file_name"]) for image in content["images"]}
        said = [(entry["image_id"], entry["category_id"]) for entry in content["annotations"]]
        lost = [f"image {image}" for image, _ in said if image not in images]
        lost += [f"category {category}" for _, category in said if category not in names]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} is not in the form of iNaturalist ({type(error).__name__}: {error}); expected images with id and "
            "file_name, annotations with image_id and category_id, categories with id and name"
        ) from None
    if lost:
        raise InputError(
            f"{file} has an annotation of {lost[0]}, which it does not list; mend or fetch it again"
        )
    bare = images.keys() - {image for image, _ in said}
    return [(images[image], names[category]) for image, category in said], len(bare)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{short(value)} is no text")
    return value


def _class_names(categories: list[Mapping[str, Any]]) -> dict[Any, str]:
    names = {category["id"]: _text(category.get("name") or str(category["id"])) for category in categories}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    told = {key: f"{name} {key}" if name in shared else name for key, name in names.items()}
    doubled = [name for name, count in Counter(told.values()).items() if count > 1]
    if doubled:
        raise InputError(f"two categories are both called {doubled[0]!r}; give each a name of its own")
    return told
