"""A source is listed once, and its images are counted as they are fetched."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.data import DataOptions, source_kinds
from longtail.data.loading import load_data
from longtail.data.source_kinds import SourceReader, counting, read_source


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for row in range(count):
                Image.fromarray(np.full((9, 9, 3), row * 20, np.uint8)).save(folder / f"{row}.png")
    return tmp_path


def options(photos: Path, **more: object) -> DataOptions:
    return DataOptions.model_validate({"name": "folder", "path": str(photos), "image_size": 8, **more})


def test_it_is_listed_once_for_equal_questions(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str | None] = []
    monkeypatch.setattr(source_kinds, "read_source", lambda o: listed.append(o.path) or read_source(o))
    read = SourceReader()
    assert read(options(photos)) is read(options(photos, image_size=16))
    assert len(listed) == 1
    read(options(photos, group_by="folder:1"))
    assert len(listed) == 2


def test_images_are_counted_as_they_are_read(photos: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    data = load_data(options(photos), read=counting(read_source, lambda *words: seen.append(words)))
    assert len(data.train) == 6
    assert data.test is not None
    assert len(data.test) == 4
    assert [(done, total) for what, done, total in seen if "train" in what] == [(n, 6) for n in range(7)]
    assert [(done, total) for what, done, total in seen if "test" in what] == [(n, 4) for n in range(5)]
