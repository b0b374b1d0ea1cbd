"""The files of a published long-tailed set in small: lists or annotations, and images."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.data.published import Published, form_of
from longtail.data.sources import published

COUNTS = (24, 9, 4)  # training images of each class: none of many, one of medium, two of few
HELD = 2  # images of each class in the other splits
Row = tuple[str, int]  # path, class


def write_published(folder: Path, name: str) -> dict[str, list[Row]]:
    """Write a small set in the form of a published one; returns the rows of each part."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {part: _rows(name, part) for part in _known(name).files}
    for part, listed in rows.items():
        for path, label in listed:
            _image(folder / path, 60 * label)
        file = folder / _known(name).files[part]
        if file.suffix == ".json":
            file.write_text(json.dumps(_annotations(listed)))
        else:
            file.write_text("".join(f"{path} {label}\n" for path, label in listed))
    return rows


def expect_small(monkeypatch: pytest.MonkeyPatch, name: str, rows: Mapping[str, Sequence[Row]]) -> None:
    """Let the small set be what was published."""
    images = {part: len(listed) for part, listed in rows.items()}
    small = replace(_known(name), images=images, classes=len(COUNTS), groups=(0, 1, 2))
    for field, value in {"SET": small, "FORM": form_of(name, small)}.items():
        monkeypatch.setattr(f"longtail.data.sources.named.{name}.{field}", value)


def _known(name: str) -> Published:
    known = published(name)
    assert known is not None
    return known


def _rows(name: str, part: str) -> list[Row]:
    counts = COUNTS if part == "train" else [HELD] * len(COUNTS)
    return [
        (_path(name, part, label, at), label) for label, count in enumerate(counts) for at in range(count)
    ]


def _path(name: str, part: str, label: int, at: int) -> str:
    number = 1000 * ("train", "val", "test").index(part) + at
    if (
        name == "imagenet_lt"
    ):  # tested on ILSVRC's validation images; validation images are training ones of ILSVRC
        if part == "test":
            return f"val/n0144076{label}/ILSVRC2012_val_{number:08}.JPEG"
        return f"train/n0144076{label}/n0144076{label}_{number}.JPEG"
    if name == "places_lt":
        scene = ("airfield", "alcove", "zen_garden")[label]
        return (
            f"val/{scene}/Places365_val_{number:08}.jpg"
            if part == "test"
            else f"train/{scene}/{number:08}.jpg"
        )
    return f"train_val2018/Plantae/{label}/{number:032x}.jpg"


def _image(file: Path, grey: int) -> None:
    """Noise about a grey, other noise for each name."""
    noise = np.random.default_rng(list(file.name.encode())).integers(0, 60, (9, 12, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((grey + noise).astype(np.uint8)).save(file, "JPEG")


def _annotations(rows: Sequence[Row]) -> dict[str, object]:
    return {
        "info": {"year": 2018},
        "images": [
            {"id": i, "file_name": path, "width": 16, "height": 12} for i, (path, _) in enumerate(rows)
        ],
        "categories": [
            {"id": c, "name": f"Planta {c}", "supercategory": "Plantae"} for c in range(len(COUNTS))
        ],
        "annotations": [{"id": i, "image_id": i, "category_id": label} for i, (_, label) in enumerate(rows)],
    }
