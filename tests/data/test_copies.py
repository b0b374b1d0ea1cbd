"""Copies of an image: kept in one split, and said."""

import numpy as np
import pytest
from PIL import Image

from longtail.data import DataOptions, load_data, load_test
from longtail.data.audit import check
from longtail.data.copies import Duplicates, kept_together, link, same_files, say_copies
from longtail.data.dividing import divide
from longtail.data.holdout import hold_out
from longtail.types import InputError


def fill(root, name, count, copies):
    """`count` images of a class, each as often as `copies` says, one after the other."""
    folder = root / name
    folder.mkdir(parents=True)
    for number in range(count):
        for copy in range(copies):
            Image.new("RGB", (9, 8), (number, copies, len(name))).save(folder / f"{number:02}_{copy}.png")


@pytest.fixture
def photos(tmp_path):
    """60 images of a, 40 of bb, four copies of each; 10 of ccc, each once."""
    for name, count, copies in (("a", 15, 4), ("bb", 10, 4), ("ccc", 10, 1)):
        fill(tmp_path / "photos", name, count, copies)
    return tmp_path / "photos"


def load(path, name="folder", **more):
    return load_data(DataOptions(name=name, path=str(path), **{"image_size": 8, "validation": 0.2} | more))


def test_copies_are_held_out_together_and_said(photos):
    data = load(photos)
    assert not set(data.train.contents) & set(data.val.contents)
    assert np.bincount(data.val.targets.numpy()).tolist() == [12, 8, 2]
    (said,) = data.notes.reading
    for fact in (
        "100 images",
        "25 sets",
        "a/00_0.png = a/00_1.png",
        "kept in one split",
        "a 60 (15 different)",
    ):
        assert fact in said
    assert data.notes.lines() == []  # no fault: --strict takes it
    assert set(load(photos, augment=("resized_crop",)).val.ids) == set(data.val.ids)
    assert check(photos).held_out == {"a": 12, "bb": 8, "ccc": 2}


def test_without_copies_the_same_images_are_held_out_as_ever(photos):
    for path in photos.glob("*/*_[123].png"):
        path.unlink()
    data = load(photos)
    _, held = hold_out(np.repeat([0, 1, 2], [15, 10, 10]), 3, 0.2, 0)
    names = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/*.png"))
    assert list(data.val.ids) == [names[row] for row in held]
    assert data.notes.reading == ()


def test_copies_join_their_groups(photos):
    files = sorted(photos.glob("*/*_[01].png"))
    rows = [f"{p.relative_to(photos)},{p.parent.name},{p.parent.name}{int(p.name[:2]) // 2}" for p in files]
    (photos / "t.csv").write_text("\n".join(["path,label,group", *rows]))
    data = load(photos / "t.csv", "table")
    assert len(data.val)
    assert not set(data.train.contents) & set(data.val.contents)
    assert not set(data.train.groups) & set(data.val.groups)
    assert kept_together(["x", "", "y"], np.array([1, 2, 3])) == ["x", "", "y"]
    assert kept_together(None, np.array([1, 2])) is None
    assert kept_together(["x"], None) == ["x"]
    assert len(set(kept_together(["x", "", "y", "y"], np.array([1, 2, 1, 2])))) == 1


def test_groups_can_be_chosen_and_left_out(photos):
    files = sorted(photos.glob("*/*_0.png"))
    rows = [f"{p.relative_to(photos)},{p.parent.name},{p.parent.name},{int(p.name[:2]) // 2}" for p in files]
    (photos / "t.csv").write_text("\n".join(["path,label,group,pair", *rows]))
    assert load(photos / "t.csv", "table").val is None
    without = load(photos / "t.csv", "table", group_by="none")
    assert (len(without.val), without.train.groups) == (7, None)
    chosen = load(photos / "t.csv", "table", group_by="column:pair")
    assert not set(chosen.train.groups) & set(chosen.val.groups)
    assert check(photos / "t.csv", group_by="none").num_groups is None


def test_a_split_keeps_copies_together_and_says_so(photos, tmp_path):
    found = divide(photos, tmp_path, test=0.2, val=0.1)
    part = dict(zip(found.paths, found.parts, strict=True))
    assert all(part[path] == part[f"{path[:-6]}_0.png"] for path in part)
    assert {name: n[2] for name, n in found.counts.items()} == {"a": 12, "bb": 8, "ccc": 2}
    assert found.groups is None  # what is written names the user's groups alone
    assert any("25 sets" in line and "kept in one split" in line for line in found.said)


def test_a_class_of_copies_of_one_image_is_named(tmp_path):
    fill(tmp_path / "photos", "a", 1, 4)
    fill(tmp_path / "photos", "bb", 10, 1)
    found = divide(tmp_path / "photos", tmp_path)
    assert found.not_evaluated == {"a": "4 copies of one image"}


def test_copies_across_parts_and_labels_are_faults(photos):
    for name in ("a", "bb", "ccc"):
        (photos / "train").mkdir(exist_ok=True)
        (photos / name).rename(photos / "train" / name)
    fill(photos / "test", "ccc", 12, 1)
    (photos / "test/bb").mkdir()
    (photos / "test/bb/x.png").write_bytes((photos / "train/a/00_0.png").read_bytes())
    leaks, conflicts = load(photos, validation=0.0).notes.remarks
    assert "11 sets" in leaks
    assert "train/a/00_0.png (train) = test/bb/x.png (test)" in leaks
    assert "1 set" in conflicts
    assert "train/a/00_0.png (a) = test/bb/x.png (bb)" in conflicts
    with pytest.raises(InputError, match="not clean"):
        load(photos, validation=0.0, strict=True)
    (photos / "test/bb/y.png").write_bytes((photos / "test/bb/x.png").read_bytes())
    _, notes = load_test(DataOptions(name="folder", path=str(photos), image_size=8), ("bb", "ccc"))
    assert any("test/bb/x.png = test/bb/y.png" in line for line in notes.reading)


def test_links_join_chains_whatever_their_order():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 30, (2, 20))
        labels, slow = np.arange(30), np.arange(30)
        link(labels, one, other)
        for _ in range(30):
            for a, b in zip(one, other, strict=True):
                slow[[a, b]] = min(slow[a], slow[b])
        assert np.array_equal(labels, slow)


def test_files_are_compared_by_their_bytes(tmp_path):
    contents = [b"x" * 9000, b"y" + b"x" * 8999, b"x" * 9000, b"z", b"", b"", b"x" * 8999 + b"y"]
    files = [tmp_path / str(number) for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    assert same_files([*files, tmp_path / "absent"]) == [[0, 2], [4, 5]]


def test_copies_that_count_no_class_twice_name_none():
    (said,), (wrong,) = say_copies(
        [Duplicates.exact(["1", "2"], ["train"] * 2, "ab")], {"a": 9}, divided=False
    )
    assert said.endswith("(1 = 2)")
    assert "different labels" in wrong
