"""Trees of class folders: classes by name, what is reported, what is refused."""

import errno
import os

import pytest
import torch

from longtail.data import DataOptions, batches, load_data, load_test
from longtail.types import InputError


def load(root, seed=0, **values):
    return load_data(DataOptions(name="folder", path=str(root), **{"image_size": 8} | values), seed=seed)


def shades(split):
    """Class index -> grey values of its images."""
    values = split.images[:, 0, 0, 0].tolist()
    return {c: [v for v, t in zip(values, split.targets.tolist(), strict=True) if t == c] for c in range(4)}


def test_train_and_test(tree):
    data = load(tree({"train/cat": [10, 11], "train/ant": [20, 21, 22], "test/ant": [23], "test/cat": [12]}))
    assert data.class_names == ("ant", "cat")
    assert data.class_counts.tolist() == [3, 2]
    assert data.val is None
    assert (shades(data.train)[0], shades(data.test)[1]) == ([20, 21, 22], [12])
    assert data.train.ids[0] == "train/ant/000.png"
    assert data.notes.lines() == []
    assert data.image_size == 8
    assert data.mean == (0.485, 0.456, 0.406)


def test_a_flat_tree_has_no_test_part(tree):
    data = load(tree({"cat": [1, 2], "ant": [3, 4]}))
    assert data.class_names == ("ant", "cat")
    assert data.test is None
    assert data.train.ids[0] == "ant/000.png"
    assert data.notes.not_tested == ()


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_its_own_validation_part(tree, name):
    root = tree({"train/a": [1, 2], "train/b": [3], f"{name}/b": [4], f"{name}/z": [5]})
    data = load(root)
    assert shades(data.val) == {0: [], 1: [4], 2: [], 3: []}
    assert data.notes.unknown_classes == {"z": 1}
    assert data.notes.not_tested == ("a",)
    with pytest.raises(InputError, match=r"its own validation split; leave data.validation at 0"):
        load(root, validation=0.5)


def test_held_out_images_leave_train(tree):
    root = tree({"a": [*range(10)], "b": [*range(20, 24)], "c": [40]})
    data = load(root, validation=0.5)
    assert data.class_counts.tolist() == [5, 2, 1]
    assert torch.bincount(data.val.targets, minlength=3).tolist() == [5, 2, 0]
    assert not set(data.train.ids) & set(data.val.ids)
    assert data.notes.not_tested == ("c",)
    assert data.notes.single_image == ("c",)
    assert load(root, validation=0.5).val.ids == data.val.ids
    assert load(root, validation=0.5, seed=1).val.ids != data.val.ids


@pytest.mark.parametrize(
    ("test", "expected", "unknown", "lacking"),
    [
        ({"a": [12], "b": [22]}, {0: [12], 1: [22], 2: [], 3: []}, {}, ("c",)),
        ({"b": [22], "c": [32]}, {0: [], 1: [22], 2: [32], 3: []}, {}, ("a",)),
        ({"a0": [99], "c": [32, 33]}, {0: [], 1: [], 2: [32, 33], 3: []}, {"a0": 1}, ("a", "b")),
        ({"0": [98, 97], "a": [1], "b": [2], "c": [3], "z": [5]}, None, {"0": 2, "z": 1}, ()),
        ({"a": [], "b": [2], "c": [3]}, {0: [], 1: [2], 2: [3], 3: []}, {}, ("a",)),
    ],
)
def test_test_classes_are_matched_by_name(tree, test, expected, unknown, lacking):
    train = {"train/a": [10, 11], "train/b": [20, 21], "train/c": [30, 31]}
    root = tree(train | {f"test/{name}": values for name, values in test.items()})
    data = load(root)
    assert shades(data.test) == (expected or {0: [1], 1: [2], 2: [3], 3: []})
    assert data.notes.unknown_classes == unknown
    assert data.notes.not_tested == lacking
    again, notes = load_test(
        DataOptions(name="folder", path=str(root / "test"), image_size=8), data.class_names
    )
    assert torch.equal(again.targets, data.test.targets)
    assert torch.equal(again.images, data.test.images)
    assert (notes.unknown_classes, notes.not_tested) == (unknown, lacking)


def test_numbers_stay_names(tree):
    data = load(tree({"train/10": [1], "train/9": [2], "train/2": [3], "test/9": [4]}))
    assert data.class_names == ("2", "9", "10")
    assert shades(data.test)[1] == [4]


def test_an_empty_class_folder_is_reported_and_shifts_nothing(tree):
    root = tree({"train/a": [1, 2], "train/b": [], "train/c": [3, 4], "test/b": [8], "test/c": [9]})
    (root / "train" / "b" / "readme.txt").write_text("no images yet")
    data = load(root)
    assert data.class_names == ("a", "c")
    assert data.notes.empty_classes == ("b",)
    assert data.notes.unknown_classes == {"b": 1}
    assert shades(data.test)[1] == [9]
    assert "1 class without a readable training image, left out: b" in data.notes.lines()


def test_nested_folders_hidden_files_and_capital_endings(tree):
    root = tree({"a/left/deep": [1], "a/right": [2], "b": [3], "b/.thumbs": [4], ".git": [5]})
    (root / "b" / "000.png").rename(root / "b" / "X.PNG")
    (root / "b" / ".hidden.png").write_bytes(b"")
    data = load(root)
    assert data.class_names == ("a", "b")
    assert data.train.ids == ("a/left/deep/000.png", "a/right/000.png", "b/X.PNG")
    assert data.notes.unreadable == ()


def test_a_folder_that_may_not_be_listed_is_refused(tree, monkeypatch):
    root = tree({"ant": [1], "bee": [2], "bee/closed": [3]})
    scan, look = os.scandir, os.stat

    def refusing(of_folder, mark):
        def closed(path, *rest, **more):
            if mark in f"{path}/":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return of_folder(path, *rest, **more)

        return closed

    monkeypatch.setattr("os.scandir", refusing(scan, "closed/"))
    monkeypatch.setattr("os.stat", refusing(look, f"closed{os.sep}recipe.toml"))
    with pytest.raises(InputError, match=r"cannot list .*closed \(Permission denied\)"):
        load(root)


def test_unreadable_images_are_skipped_and_listed(tree):
    root = tree({"train/a": [1, 2, 3], "train/b": [4, 5], "test/a": [6], "test/b": [7, 8]})
    (root / "train" / "a" / "001.png").write_bytes(b"")
    (root / "test" / "b" / "000.png").write_text("text")
    data = load(root)
    assert shades(data.train) == {0: [1, 3], 1: [4, 5], 2: [], 3: []}
    assert shades(data.test) == {0: [6], 1: [8], 2: [], 3: []}
    assert data.notes.unreadable == (("train/a/001.png", "empty"), ("test/b/000.png", "not an image"))
    assert data.notes.lines()[0].startswith("2 images unreadable and left out: train/a/001.png (empty)")


def test_a_class_that_is_all_unreadable_shifts_nothing(tree):
    root = tree({"train/a": [1], "train/b": [2, 3], "train/c": [4, 5], "test/a": [6], "test/c": [7]})
    (root / "train" / "a" / "000.png").write_bytes(b"")
    data = load(root)
    assert data.class_names == ("b", "c")
    assert shades(data.train) == {0: [2, 3], 1: [4, 5], 2: [], 3: []}
    assert shades(data.test)[1] == [7]
    assert data.notes.empty_classes == ("a",)
    assert data.notes.not_tested == ("b",)


def test_a_class_with_one_image_stays_in_train(tree):
    data = load(tree({"train/a": [1, 2], "train/b": [3], "test/a": [4]}))
    assert data.class_counts.tolist() == [2, 1]
    assert data.notes.single_image == ("b",)
    assert data.notes.not_tested == ("b",)


STRICT = {
    "unreadable": ({"train/a/bad": [], "train/a": [1, 2], "train/b": [3, 4]}, "unreadable"),
    "unknown": ({"train/a": [1, 2], "train/b": [3, 4], "test/a": [1], "test/b": [2], "test/c": [3]}, "c (1)"),
    "untested": ({"train/a": [1, 2], "train/b": [3, 4], "test/a": [1]}, "evaluate on: b"),
    "single": ({"train/a": [1], "train/b": [3, 4]}, "single image, kept for training: a"),
    "empty": ({"train/a": [1, 2], "train/b": [3, 4], "train/c": []}, "left out: c"),
}


@pytest.mark.parametrize("case", STRICT)
def test_strict_refuses_what_is_otherwise_noted(tree, case):
    folders, expected = STRICT[case]
    root = tree(folders)
    if case == "unreadable":
        (root / "train" / "a" / "bad" / "x.png").write_bytes(b"")
    assert expected in load(root).notes.lines()[0]
    with pytest.raises(InputError, match=r"not clean.* data\.strict") as caught:
        load(root, strict=True)
    assert expected in caught.value.details[0]


def test_strict_is_content_with_clean_data(tree):
    root = tree({"train/a": [1, 2], "train/b": [3, 4], "test/a": [5], "test/b": [6]})
    assert load(root, strict=True).notes.lines() == []
    options = DataOptions(name="folder", path=str(root), strict=True)
    with pytest.raises(InputError, match="not clean"):
        load_test(options, ("a", "b", "c"))


def test_long_notes_are_shortened(tree):
    data = load(tree({f"{c:02}": [c] for c in range(14)}))
    assert data.notes.lines() == [
        "14 classes with a single image, kept for training: 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 4 more"
    ]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({}, r"no images in .*; expected PATH/train/CLASS"),
        ({"a": [], "b": []}, "no images in"),
        ({"": [1, 2]}, "holds images but no class folders"),
        ({"train": [1, 2]}, r"train holds images but no class folders"),
        ({"train/a": [1, 2], "test": []}, r"no images in .*test"),
        ({"a": [1, 2]}, r"only class a with readable training images in .*; training needs two"),
        ({"train/a": [1, 2], "train/b": []}, "only class a"),
        ({"test/a": [1], "test/b": [2]}, "no training images in .*; add a split named train"),
        (
            {"train/a": [1], "train/b": [2], "test/c": [3]},
            r"no readable test image belongs .*\(training: a, b",
        ),
    ],
)
def test_refusals(tree, folders, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tree(folders))
    assert "\n" not in str(caught.value)


def test_refused_paths(tree, tmp_path):
    with pytest.raises(InputError, match=r"none does not exist"):
        load(tmp_path / "none")
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(InputError, match=r"notes.txt is a file, not a folder of images"):
        load(file)
    with pytest.raises(InputError, match=r"data.name=folder needs the data's place; give it with --data"):
        load_data(DataOptions(name="folder"))


def test_only_unreadable_images_are_refused(tree):
    root = tree({"a": [1], "b": [2]})
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"no class with readable training images.*2 images cannot be read"
    ) as caught:
        load(root)
    assert sorted(caught.value.details) == ["a/000.png (empty)", "b/000.png (empty)"]


def test_unreadable_test_images_are_not_blamed_on_the_names_of_classes(tree):
    root = tree({"train/a": [1], "train/b": [2], "test/a": [3], "test/b": [4], "test/c": [5]})
    for file in root.glob("test/[ab]/*.png"):
        file.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"none of the 2 test images of a training class can be read"
    ) as caught:
        load(root)
    assert "1 more belong to no training class" in str(caught.value)
    assert "alike" not in str(caught.value)
    assert sorted(caught.value.details) == ["test/a/000.png (empty)", "test/b/000.png (empty)"]


def test_a_tail_cut_from_folders(tree):
    root = tree({"a": [*range(10)], "b": [*range(20, 30)], "c": [*range(40, 50)]})
    data = load(root, imbalance_factor=10)
    assert data.class_counts.tolist() == [10, 3, 1]
    with pytest.raises(InputError, match="class a has 10 images but 11 are asked for"):
        load(root, imbalance_factor=10, max_count=11)


def test_a_test_part_is_wanted(tree):
    root = tree({"train/a": [1, 2], "train/b": [3, 4]})
    with pytest.raises(InputError, match="no test images in"):
        load_test(DataOptions(name="folder", path=str(root)), ("a", "b"))


def test_size_mean_and_deviation_can_be_given(tree):
    data = load(tree({"a": [1, 2], "b": [3]}), image_size=12, mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    assert data.train.images.shape == (3, 3, 12, 12)
    assert (data.image_size, data.mean, data.std) == (12, (0.1, 0.2, 0.3), (1, 1, 1))
    assert load_data(DataOptions(name="folder", path=str(tree({})))).image_size == 32


@pytest.mark.parametrize("limit", [0, 2**30], ids=["on disk", "in memory"])
def test_the_hash_tells_other_images_of_the_same_names(tree, encoded, monkeypatch, limit):
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", limit)
    root = tree({"a": [1, 2], "b": [3]})
    file = root / "a" / "000.png"
    before = load(root).index_hash
    assert load(root).index_hash == before
    file.write_bytes(encoded(1, "BMP") if limit == 0 else encoded(9))
    assert load(root).index_hash != before


def test_names_that_are_no_unicode_are_hashed(tree):
    root = tree({"a": [1], "b": [2]})
    (root / "a" / "000.png").rename(root / "a" / os.fsdecode(b"caf\xe9.png"))
    assert load(root).train.ids[0] == "a/caf\udce9.png"


def test_a_truncated_image_is_skipped_whether_in_memory_or_on_disk(tree, encoded, monkeypatch):
    root = tree({"a": [1, 2], "b": [3]})
    (root / "a" / "002.jpg").write_bytes(encoded(9, "JPEG", (64, 64))[:-30])
    in_memory = load(root)
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", 0)
    on_disk = load(root)
    assert on_disk.notes == in_memory.notes
    assert [name for name, _ in on_disk.notes.unreadable] == ["a/002.jpg"]
    assert len(list(batches(on_disk.train, torch.arange(3), 1, "cpu"))) == 3


@pytest.mark.parametrize("workers", [0, 3])
def test_images_too_many_for_memory_stay_on_disk_with_the_same_batches(tree, monkeypatch, workers):
    root = tree({"train/a": [*range(13)], "train/b": [*range(50, 57)], "train/c": [99], "test/a": [1]})
    (root / "train" / "a" / "004.png").write_bytes(b"")
    (root / "train" / "c" / "000.png").write_bytes(b"text")
    in_memory = load(root)
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", 18 * 3 * 8 * 8)
    on_disk = load(root)
    assert not isinstance(on_disk.train.images, torch.Tensor)
    assert isinstance(on_disk.test.images, torch.Tensor)
    assert on_disk.train.ids == in_memory.train.ids
    assert on_disk.notes == in_memory.notes
    order = torch.randperm(19, generator=torch.Generator().manual_seed(0))
    pairs = zip(
        batches(in_memory.train, order, 2, "cpu"),
        batches(on_disk.train, order, 2, "cpu", workers=workers),
        strict=True,
    )
    for memory, disk in pairs:
        assert torch.equal(memory.image, disk.image)
        assert torch.equal(memory.target, disk.target)
        assert torch.equal(memory.index, disk.index)
    parts = batches(on_disk.train, order, 2, "cpu", workers=workers, part=lambda rows: rows[1:])
    assert [len(batch.image) for batch in parts] == [1] * 8 + [2]
    held = load(root, validation=0.5)
    assert len(held.train) + len(held.val) == 19


def test_batches_from_disk_can_be_left_early_and_name_a_broken_file(tree, monkeypatch):
    root = tree({"a": [*range(10)], "b": [1]})
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", 0)
    split = load(root).train
    stream = batches(split, torch.arange(11), 1, "cpu", workers=2)
    assert next(stream).index.tolist() == [0]
    stream.close()
    (root / "b" / "000.png").unlink()
    with pytest.raises(InputError, match=r"cannot read image .*b/000.png"):
        list(batches(split, torch.arange(11), 4, "cpu", workers=2))


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing"), ("TRAIN", "Testing")])
def test_parts_go_by_several_names(tree, names):
    train, test = names
    data = load(tree({f"{train}/a": [1, 2], f"{train}/b": [3], f"{test}/a": [4], f"{test}/b": [5]}))
    assert data.class_names == ("a", "b")
    assert (len(data.train), len(data.test)) == (3, 2)
    assert data.notes.remarks == ()


def test_strict_names_every_file(tree):
    root = tree({"a": [1], "b": [2]})
    for number in range(15):
        (root / "a" / f"bad {number}.png").write_bytes(b"")
    with pytest.raises(InputError) as refused:
        load(root, strict=True)
    assert refused.value.details[0].count("(empty)") == 15
    assert load(root).notes.lines()[0].endswith("and 5 more")


def test_a_class_may_bear_the_name_of_a_part(tree):
    data = load(tree({"Bus": [1, 2], "Car": [3], "Train": [4, 5]}))
    assert data.class_names == ("Bus", "Car", "Train")


def test_images_straight_in_train_are_refused(tree):
    with pytest.raises(InputError, match="holds images but no class folders"):
        load(tree({"train": [1, 2], "test": [3]}))


@pytest.mark.parametrize("more", [["labels"], ["labels", "val/a"]])
def test_images_straight_in_a_part_beside_other_folders_are_refused(tree, more):
    with pytest.raises(InputError, match="holds images but no class folders"):
        load(tree({"train": [1, 2], "test": [3]} | {name: [4] for name in more}))
    with pytest.raises(InputError, match="holds images but no class folders"):
        load(tree({"train/a": [1], "train/b": [2], "test": [3], "docs/x": [4]}))


def test_folders_beside_the_parts_are_reported(tree):
    root = tree({"train/a": [1], "train/b": [2], "test/a": [3], "extra/a": [4], "raw": [5], ".cache": [6]})
    data = load(root)
    assert data.notes.lines()[-2] == "  2 files, beside train, test, so in no part: extra/, raw/"
    with pytest.raises(InputError, match="not clean"):
        load(root, strict=True)


@pytest.mark.parametrize("second", ["valid", "Val", "validation"])
def test_two_folders_for_one_part_are_refused(tree, second):
    root = tree({"train/a": [1], "train/b": [2], "val/a": [3], f"{second}/a": [4]})
    with pytest.raises(InputError, match="both the same split; keep one"):
        load(root)


def test_a_class_whose_name_is_no_text_is_refused_before_training(tree):
    root = tree({"ant": [1, 2], "f\udcfcchse": [3, 4]})
    with pytest.raises(InputError, match=r"class 'füchse' in .* is no UTF-8 text; rename it"):
        load(root)
