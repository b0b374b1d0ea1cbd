"""The published long-tailed sets: their files, their totals, and what is said where they are absent or differ."""

from pathlib import Path
from typing import Any

import pytest

from longtail.data import DataOptions, load_data, load_test
from longtail.data.packing import pack
from longtail.data.published import Published
from longtail.data.source_form import Place
from longtail.data.sources import find, published
from longtail.source_names import named_sources
from longtail.types import InputError
from published_files import COUNTS, HELD, expect_small, write_published

PUBLISHED: dict[str, Published] = {
    name: one for name in named_sources() if (one := published(name)) is not None
}
NAMES = list(PUBLISHED)
each_set = pytest.mark.parametrize("name", NAMES)


def options(name: str, path: Path | None, **more: Any) -> DataOptions:
    place = None if path is None else str(path)
    return DataOptions(**{"name": name, "path": place, "image_size": 8, **more})


def test_the_published_totals() -> None:
    found = {name: (dict(one.images), one.classes, one.groups) for name, one in PUBLISHED.items()}
    assert found == {
        "imagenet_lt": ({"train": 115_846, "val": 20_000, "test": 50_000}, 1_000, (385, 479, 136)),
        "places_lt": ({"train": 62_500, "val": 7_300, "test": 36_500}, 365, (131, 163, 71)),
        "inaturalist2018": ({"train": 437_513, "test": 24_426}, 8_142, None),
    }
    for images, classes, groups in found.values():
        assert groups is None or sum(groups) == classes
        assert all(images[part] % classes == 0 for part in images if part != "train")  # as many of each class


@each_set
def test_a_set_of_the_published_size_is_said_and_clean(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_published(tmp_path, name)
    expect_small(monkeypatch, name, rows)
    data = load_data(options(name, tmp_path, strict=True))
    assert data.class_counts.tolist() == list(COUNTS)
    parts = {
        part: len(split) for part in ("train", "val", "test") if (split := getattr(data, part)) is not None
    }
    assert parts == {part: len(listed) for part, listed in rows.items()}
    assert data.notes.remarks == ()
    assert f"{name}: 37 training images" in data.notes.reading[-1]
    assert "0/1/2 classes of many/medium/few images" in data.notes.reading[-1]
    assert sorted(data.test.ids) == sorted(path for path, _ in rows["test"])


@each_set
def test_other_totals_are_said_with_both_numbers_and_refused_by_strict(name: str, tmp_path: Path) -> None:
    write_published(tmp_path, name)
    data = load_data(options(name, tmp_path))
    (remark,) = data.notes.remarks
    known = PUBLISHED[name]
    assert f"not {name} as published: 37 training images (published: {known.images['train']:,})" in remark
    assert f"{HELD * len(COUNTS)} test images (published: {known.images['test']:,})" in remark
    assert f"3 classes (published: {known.classes:,})" in remark
    assert ("0/1/2 classes of many/medium/few" in remark) == (known.groups is not None)
    with pytest.raises(InputError) as refused:
        load_data(options(name, tmp_path, strict=True))
    assert remark in refused.value.details
    test, notes = load_test(options(name, tmp_path), data.class_names)
    assert (len(test), notes.remarks) == (HELD * len(COUNTS), (remark,))


def test_totals_that_agree_do_not_hide_other_class_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_small(monkeypatch, "places_lt", write_published(tmp_path, "places_lt"))
    file = tmp_path / "Places_LT_train.txt"
    lines = file.read_text().splitlines()
    moved = [line.rsplit(" ", 1)[0] + " 1" for line in lines[:7]]
    file.write_text("\n".join([*moved, *lines[7:]]))
    (remark,) = load_data(options("places_lt", tmp_path)).notes.remarks
    assert "not places_lt as published: 0/0/3 classes of many/medium/few images (published: 0/1/2);" in remark


@each_set
def test_what_is_absent_is_named_with_the_steps_to_get_it(name: str, tmp_path: Path) -> None:
    known = PUBLISHED[name]
    with pytest.raises(InputError, match="--data PATH") as refused:
        load_data(options(name, None))
    assert set(known.steps) < set(refused.value.details)
    rows = write_published(tmp_path, name)
    file = tmp_path / known.files["test"]
    file.rename(tmp_path / "other")
    with pytest.raises(InputError, match=f"has no {known.files['test']}, which {name} needs") as refused:
        load_data(options(name, tmp_path))
    assert set(known.steps) < set(refused.value.details)
    (tmp_path / "other").rename(file)
    moved = tmp_path / "images"
    moved.mkdir()
    for folder in {Path(path).parts[0] for listed in rows.values() for path, _ in listed}:
        (tmp_path / folder).rename(moved / folder)
    with pytest.raises(InputError, match="none of 37 train images") as refused:
        load_data(options(name, tmp_path))
    assert set(known.steps) < set(refused.value.details)
    assert len(load_data(options(name, tmp_path, root=str(moved))).train) == sum(COUNTS)


@each_set
def test_other_lists_beside_them_do_not_matter(name: str, tmp_path: Path) -> None:
    for other in NAMES:
        write_published(tmp_path, other)
    (tmp_path / "train2019.json").write_text("{")
    (tmp_path / "iNaturalist18_train.txt").write_text("a.jpg 1\n")
    assert len(load_data(options(name, tmp_path)).train) == sum(COUNTS)


def test_a_packed_set_is_still_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_small(monkeypatch, "imagenet_lt", write_published(tmp_path / "lists", "imagenet_lt"))
    pack(tmp_path / "lists", tmp_path / "packed")
    source = find("imagenet_lt").read(Place(tmp_path / "packed"))
    assert (source.remarks, source.image_size) == ((), 224)
    assert {part: len(one.ids) for part, one in source.parts.items()} == {"train": 37, "val": 6, "test": 6}


def test_sources_say_what_is_expected() -> None:
    said = {name: find(name).about for name in NAMES}
    assert "437,513 training, 24,426 test images, 8,142 classes" in said["inaturalist2018"]
    assert "ImageNet_LT_train.txt" in said["imagenet_lt"]
