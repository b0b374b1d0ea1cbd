"""Lists of files in the form of ImageNet-LT, and annotations in the form of iNaturalist."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from longtail.data import DataOptions, load_data, load_test, source_of
from longtail.data.rows import part_in_name
from longtail.types import InputError


@pytest.fixture
def images(tmp_path: Path, encoded: Callable[..., bytes]) -> Path:
    """`train/0.png` to `train/9.png`, `val/...` from 10 and `test/...` from 20 on, each grey of its number."""
    root = tmp_path / "images"
    for first, part in ((0, "train"), (10, "val"), (20, "test")):
        (root / part).mkdir(parents=True)
        for value in range(first, first + 10):
            (root / part / f"{value}.png").write_bytes(encoded(value))
    return root


def load(path: Path, **options):
    return load_data(DataOptions(name=source_of(path), path=str(path), image_size=8, **options))


def shades(data, part: str) -> dict[str, list[int]]:
    split = getattr(data, part)
    pairs = list(zip(split.targets.tolist(), split.images[:, 0, 0, 0].tolist(), strict=True))
    return {name: [v for c, v in pairs if data.class_names[c] == name] for name in data.class_names}


def test_imagenet_lt(images, tmp_path):
    lists = tmp_path / "ImageNet_LT"
    lists.mkdir()
    (lists / "ImageNet_LT_train.txt").write_text(
        "train/0.png 2\ntrain/1.png 10\r\n\ntrain/2.png 2\ntrain/3.png 0\n"
    )
    (lists / "ImageNet_LT_val.txt").write_text("val/10.png 10\nval/11.png 2\n")
    (lists / "ImageNet_LT_test.txt").write_text("test/20.png 3\ntest/21.png 0\n")
    (lists / "readme.txt").write_text("train/0.png 2\n")
    assert source_of(lists) == "list"
    data = load(lists, root=str(images))
    assert data.class_names == ("0", "2", "10")
    assert shades(data, "train") == {"0": [3], "2": [0, 2], "10": [1]}
    assert shades(data, "val") == {"0": [], "2": [11], "10": [10]}
    assert shades(data, "test") == {"0": [21], "2": [], "10": []}
    assert data.notes.unknown_classes == {"3": 1}
    assert "ImageNet_LT_val.txt" in data.notes.reading[0]
    test, _ = load_test(
        DataOptions(name="list", path=str(lists / "ImageNet_LT_val.txt"), root=str(images), image_size=8),
        ("10", "2"),
    )
    assert test.targets.tolist() == [0, 1]


def test_one_list_with_spaces_and_names(images):
    (images / "my photo 1.png").write_bytes((images / "train/0.png").read_bytes())
    (images / "list.txt").write_bytes("\ufeffmy photo 1.png fox\ntrain/1.png\towl\n".encode())
    data = load(images / "list.txt")
    assert shades(data, "train") == {"fox": [0], "owl": [1]}
    assert source_of(images) == "folder"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("train/0.png 1\ntrain/1.png\n", "line 2 of .* has no label: 'train/1.png'"),
        ("train/0.png 1\nmy photo.png\n", "line 2 of .* has no label"),
        ("", "names no image"),
        ("train/0.png 1\ntrain/0.png 2\n", "two labels: '1' .line 1 of list.txt. and '2' .line 2"),
        ("photos/0.png 1\nphotos/1.png 2\n", "none of 2 train images"),
        ("f\udcfcchse.png 1\n", "save it as UTF-8"),
    ],
)
def test_what_lists_are_refused(images, lines, said):
    (images / "list.txt").write_bytes(lines.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=said):
        load(images / "list.txt")


def test_two_lists_for_one_part_are_refused(images):
    for name in ("a_train.txt", "b_train.txt"):
        (images / name).write_text("train/0.png 1\ntrain/1.png 2\n")
    with pytest.raises(InputError, match=r"a_train.txt and b_train.txt, both for train"):
        load(images)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ImageNet_LT_train.txt", "train"),
        ("train2018.json", "train"),
        ("validation.json", "val"),
        ("interval.txt", None),
        ("latest-test.txt", "test"),
    ],
)
def test_parts_in_names(name, part):
    assert part_in_name(Path(name)) == part


def annotations(first: int, labels: dict[int, int], names: dict[int, str | None], folder: str = "train"):
    return {
        "info": {"year": 2018},
        "images": [{"id": i, "file_name": f"{folder}/{first + i}.png", "width": 8} for i in labels],
        "categories": [{"id": c, "name": name} if name else {"id": c} for c, name in names.items()],
        "annotations": [{"id": 100 + i, "image_id": i, "category_id": c} for i, c in labels.items()],
    }


def write(file: Path, content: object) -> Path:
    file.write_text(json.dumps(content))
    return file


NAMES = {3: "Vulpes vulpes", 5: "Strix aluco", 7: None, 8: "Ursus", 9: "Ursus"}


def test_inaturalist(images):
    write(images / "train2018.json", annotations(0, {0: 3, 1: 5, 2: 3, 3: 7, 4: 8, 5: 9}, NAMES))
    write(images / "val2018.json", annotations(10, {0: 5, 1: 3}, dict(reversed(NAMES.items())), "val"))
    write(images / "test2018.json", {"images": [{"id": 1, "file_name": "test/20.png"}]})
    assert source_of(images) == "inaturalist"
    data = load(images)
    fox, owl = "Vulpes vulpes", "Strix aluco"
    assert shades(data, "train") == {"7": [3], owl: [1], "Ursus 8": [4], "Ursus 9": [5], fox: [0, 2]}
    assert data.val is None
    assert shades(data, "test") == {"7": [], owl: [10], "Ursus 8": [], "Ursus 9": [], fox: [11]}
    assert "val2018.json is the test split" in " ".join(data.notes.reading)
    alone = load(images / "train2018.json")
    assert (alone.test, len(alone.train)) == (None, 6)


def test_inaturalist_with_a_labelled_test_part(images, tmp_path):
    place = tmp_path / "json"
    place.mkdir()
    for first, part in ((0, "train"), (10, "val"), (20, "test")):
        write(place / f"{part}.json", annotations(first, {0: 3, 1: 5}, NAMES, part))
    data = load(place, root=str(images))
    assert [shades(data, part)["Strix aluco"] for part in ("train", "val", "test")] == [[1], [11], [21]]


def test_images_without_a_label_are_reported(images):
    content = annotations(0, {0: 3, 1: 5, 2: 3}, NAMES)
    del content["annotations"][2]
    data = load(write(images / "train.json", content))
    assert len(data.train) == 2
    (left,) = data.notes.left_out
    assert (left.reason, left.count, left.examples) == ("without a label", 1, ("train/2.png",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "has no list of images; expected the keys images, annotations, categories"),
        (
            {"images": [{}], "annotations": [], "categories": []},
            "not in the form of iNaturalist .KeyError: 'id'",
        ),
        (annotations(0, {0: 3, 1: 6}, NAMES), "annotation of category 6, which it does not list"),
        (annotations(0, {0: 3, 1: 5}, NAMES) | {"images": []}, "annotation of image 0"),
        (annotations(0, {}, NAMES), "names no image"),
    ],
)
def test_what_annotations_are_refused(images, content, said):
    with pytest.raises(InputError, match=said):
        load(write(images / "train.json", content))


def test_categories_that_would_share_a_name_are_refused(images):
    content = annotations(0, {0: 1, 1: 2, 2: 3}, {1: "a", 2: "a", 3: "a 1"})
    with pytest.raises(InputError, match="two categories are both called 'a 1'"):
        load(write(images / "train.json", content))


def test_json_that_is_cut_off_is_refused(images):
    (images / "train.json").write_text('{"images": [')
    with pytest.raises(InputError, match="no sound JSON"):
        load(images / "train.json")


def test_an_image_with_two_classes_is_refused(images):
    content = annotations(0, {0: 3, 1: 5}, NAMES)
    content["annotations"].append({"image_id": 0, "category_id": 5})
    with pytest.raises(
        InputError, match=r"1 image of .* with two labels or more, such as train/0.png has two labels"
    ):
        load(write(images / "train.json", content))
