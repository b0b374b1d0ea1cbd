"""Parquet files of the hub, CIFAR from Parquet and from pickles."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.data import DataOptions, load_data, load_test, source_of
from longtail.types import InputError

KINDS = ["PNG", "WEBP", "JPEG"]


def load(root, name="parquet", **values):
    return load_data(DataOptions(name=name, path=str(root), **{"image_size": 8} | values))


@pytest.fixture
def animals(parquet, encoded):
    """Ant, bee, cow with 4, 3 and 2 training images, sorted by class over several row groups."""
    labels = [0] * 4 + [1] * 3 + [2] * 2
    values = [10, 11, 12, 13, 20, 21, 22, 30, 31]
    images = [encoded(value, KINDS[i % 2]) for i, value in enumerate(values)]
    names = {"label": ["ant", "bee", "cow"]}
    parquet("train-00000-of-00002.parquet", images[:5], {"label": labels[:5]}, names)
    parquet("train-00001-of-00002.parquet", images[5:], {"label": labels[5:]}, names)
    others = [encoded(value + 100, "PNG") for value in values[::4]]
    return parquet("test-00000-of-00001.parquet", others, {"label": labels[::4]}, names)


def test_rows_and_names(animals):
    data = load(animals)
    assert data.class_names == ("ant", "bee", "cow")
    assert data.class_counts.tolist() == [4, 3, 2]
    assert data.train.images[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 20, 21, 22, 30, 31]
    assert data.train.ids[5] == "train/5"
    assert data.test.targets.tolist() == [0, 1, 2]
    assert data.test.ids == ("test/0", "test/1", "test/2")
    assert data.notes.lines() == []


def test_chosen_rows_come_from_the_right_row_groups(animals):
    data = load(animals, imbalance_factor=4, max_count=4)
    assert data.class_counts.tolist() == [4, 2, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 20, 21, 30]
    assert data.train.ids[-2:] == ("train/5", "train/7")


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_bytes(parquet, encoded, kind):
    root = parquet("data/train-0.parquet", [encoded(100, kind), encoded(200, kind)], {"label": [0, 1]})
    data = load(root)
    assert data.class_names == ("0", "1")
    assert data.test is None
    assert (data.train.images[:, 1, 4, 4].int() - torch.tensor([100, 200])).abs().max() <= 2


def test_classes_of_the_parts_are_matched_by_name(parquet, encoded):
    images = [encoded(v) for v in (1, 2, 3)]
    parquet("train-0.parquet", images, {"label": [0, 1, 2]}, {"label": ["ant", "bee", "cow"]})
    root = parquet("test-0.parquet", images, {"label": [0, 1, 2]}, {"label": ["cow", "ant", "dog"]})
    parquet("validation-0.parquet", images[:1], {"label": [1]}, {"label": ["ant", "bee", "cow"]})
    data = load(root)
    assert data.test.targets.tolist() == [2, 0]
    assert data.val.targets.tolist() == [1]
    assert data.notes.unknown_classes == {"dog": 1}
    assert data.notes.not_tested == ("bee",)


def test_labels_as_text_and_bare_bytes(tmp_path, encoded):
    file = tmp_path / "pets.parquet"
    pq.write_table(pa.table({"photo": [encoded(1), encoded(2)], "label": ["dog", "cat"]}), file)
    data = load(file)
    assert data.class_names == ("cat", "dog")
    assert data.train.targets.tolist() == [1, 0]
    assert (source_of(file), source_of(tmp_path)) == ("parquet", "folder")
    again, _ = load_test(DataOptions(name="parquet", path=str(file)), ("dog", "cat"))
    assert again.targets.tolist() == [0, 1]


def test_a_class_label_column_of_another_name(parquet, encoded):
    root = parquet(
        "train-0.parquet", [encoded(1), encoded(2)], {"kind": [1, 0]}, {"kind": ["x", "y"]}, image="image"
    )
    assert load(root).class_names == ("x", "y")


def test_unreadable_rows_are_skipped_and_listed(parquet, encoded):
    root = parquet("train-0.parquet", [encoded(1), b"no", None, encoded(4)], {"label": [0, 0, 1, 1]})
    data = load(root)
    assert data.train.images[:, 0, 0, 0].tolist() == [1, 4]
    assert data.notes.unreadable == (("train/1", "not an image"), ("train/2", "empty"))


def test_refusals(parquet, encoded, tmp_path):
    images = [encoded(1), encoded(2)]
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "none")
    with pytest.raises(InputError, match=r"no Parquet files in .*; expected train-\*.parquet"):
        load(tmp_path)
    root = parquet("train-0.parquet", images, {"caption": ["a", "b"]})
    with pytest.raises(InputError, match=r"no labels in .*train-0.parquet \(columns: img, caption\)"):
        load(root)
    parquet("train-0.parquet", [], {"label": [0, 1]}, image=None)
    with pytest.raises(InputError, match=r"no image column in .* \(columns: label\)"):
        load(root)
    parquet("train-0.parquet", images, {"label": [0, None]})
    with pytest.raises(InputError, match=r"has 1 row without `label`"):
        load(root)
    parquet("train-0.parquet", images, {"label": [0, -1]}, {"label": ["a", "b"]})
    with pytest.raises(InputError, match=r"1 rows of .* outside 0..1, such as -1"):
        load(root)
    parquet("train-0.parquet", images, {"label": [1, 1]}, {"label": ["a", "b"]})
    with pytest.raises(InputError, match="only class b with readable"):
        load(root)
    parquet("train-0.parquet", images, {"label": [0, 2]}, {"label": ["a", "b", "a"]})
    with pytest.raises(InputError, match="two classes are both called 'a'"):
        load(root)
    (root / "train-0.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"cannot read .* as Parquet"):
        load(root)


def test_two_columns_of_one_name_and_damaged_pages_are_refused(parquet, encoded):
    root = parquet("train-0.parquet", [encoded(1), encoded(2)], {"label": [0, 1]})
    file = root / "train-0.parquet"
    sound, table = file.read_bytes(), pq.read_table(file)
    pq.write_table(table.append_column("label", table["label"]), file)
    with pytest.raises(InputError, match=r"2 columns `label` in"):
        load(root)
    for column in ("img", "label"):
        meta = pq.ParquetFile(io.BytesIO(sound)).metadata.row_group(0)
        chunk = next(
            meta.column(i)
            for i in range(meta.num_columns)
            if meta.column(i).path_in_schema.startswith(column)
        )
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        file.write_bytes(
            sound[:start]
            + b"\xff" * chunk.total_compressed_size
            + sound[start + chunk.total_compressed_size :]
        )
        with pytest.raises(InputError, match=r"cannot read .*train-0.parquet as Parquet"):
            load(root)


@pytest.mark.parametrize("lacking", ["label", "img"])
def test_every_file_of_a_part_needs_both_columns(parquet, encoded, lacking):
    images = [encoded(1), encoded(2)]
    parquet("train-0.parquet", images, {"label": [0, 1]})
    root = parquet(
        "train-1.parquet", images, {"kind": [0, 1]} if lacking == "label" else {"label": [0, 1]},
        image="img" if lacking == "label" else None,
    )  # fmt: skip
    with pytest.raises(InputError, match=rf"no columns `{lacking}` in .*train-1.parquet"):
        load(root)


def test_labels_are_whole_numbers(parquet, encoded):
    images = [encoded(1), encoded(2)]
    root = parquet("train-0.parquet", images, {"label": [3.0, 1.0]})
    assert load(root).class_names == ("1", "3")
    for names in (None, {"label": ["a", "b", "c"]}):
        parquet("train-0.parquet", images, {"label": [0.0, 1.5]}, names)
        with pytest.raises(InputError, match=r"1 rows of .* no whole number, such as 1.5"):
            load(root)


def test_the_hash_tells_other_pixels_and_other_labels_of_the_same_rows(parquet, encoded):
    def digest(values, labels):
        root = parquet("train-0.parquet", [encoded(v) for v in values], {"label": labels})
        return load(root).index_hash

    assert digest([1, 2, 3], [0, 1, 1]) == digest([1, 2, 3], [0, 1, 1])
    assert (
        len({digest([1, 2, 3], [0, 1, 1]), digest([1, 2, 4], [0, 1, 1]), digest([1, 2, 3], [0, 1, 0])}) == 3
    )


def test_only_a_test_part(parquet, encoded):
    root = parquet("test-0.parquet", [encoded(1), encoded(2)], {"label": [0, 1]})
    with pytest.raises(InputError, match="no training images"):
        load(root)
    parquet("train-0.parquet", [encoded(1), encoded(2)], {"label": [0, 1]})
    (root / "test-0.parquet").unlink()
    with pytest.raises(InputError, match="no test images"):
        load_test(DataOptions(name="parquet", path=str(root)), ("0", "1"))


def cifar100(parquet, encoded):
    names = {
        "coarse_label": [f"coarse {c}" for c in range(20)],
        "fine_label": [f"fine {c}" for c in range(100)],
    }
    images = [encoded(c, "PNG", (32, 32)) for c in range(100)] * 2
    columns = {"coarse_label": [c % 20 for c in range(200)], "fine_label": [c % 100 for c in range(200)]}
    parquet("train-0.parquet", images, columns, names, row_group_size=64)
    return parquet("test-0.parquet", images[:100], {k: v[:100] for k, v in columns.items()}, names)


def test_cifar100_prefers_its_fine_labels(parquet, encoded):
    data = load(cifar100(parquet, encoded), name="cifar100", image_size=None, imbalance_factor=2)
    assert data.class_names[99] == "fine 99"
    assert data.image_size == 32
    assert data.train.images.shape == (101, 3, 32, 32)
    assert data.mean == (0.4914, 0.4822, 0.4465)
    assert data.std == (0.2023, 0.1994, 0.2010)


def test_another_set_is_not_taken_for_cifar(animals):
    with pytest.raises(InputError, match=r"holds 3 classes but cifar10 has 10; use data.name=parquet"):
        load(animals, name="cifar10")


@pytest.mark.parametrize(
    ("name", "classes", "train", "test"), [("cifar10", 10, 10, 20), ("cifar100", 100, 3, 100)]
)
def test_torchvision_files(cifar_pickles, name, classes, train, test):
    root = cifar_pickles(name)
    data = load(root, name=name, image_size=None)
    assert data.class_counts.tolist() == [train] * classes
    assert data.class_names[3] == "class 3"
    assert len(data.test) == test
    assert torch.equal(data.train.images[:, 0, 0, 0].long(), data.train.targets)
    assert data.train.ids[7] == "train/7"
    inside = next(root.iterdir())
    assert load(inside, name=name, image_size=None).index_hash == data.index_hash


def test_cifar_refusals(cifar_pickles, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no cifar10 in .*--data takes .* or with cifar-10-batches-py/"):
        load(tmp_path, name="cifar10")
    with pytest.raises(InputError, match="none does not exist"):
        load(tmp_path / "none", name="cifar10")
    root = cifar_pickles("cifar10")
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(InputError, match="incomplete or damaged"):
        load(root, name="cifar10")


def test_no_network_names_the_way_out(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(InputError, match=r"cannot download cifar100 \(no route to host\); .* --data PATH"):
        load_data(DataOptions(name="cifar100"))


def test_files_that_name_the_numbers_differently_are_refused(parquet, encoded):
    images = [encoded(1), encoded(2)]
    parquet("train-0.parquet", images, {"label": [0, 1]}, {"label": ["a", "b"]})
    root = parquet("train-1.parquet", images, {"label": [0, 1]}, {"label": ["b", "a"]})
    with pytest.raises(InputError, match=r"train-0.parquet and .*train-1.parquet give different names"):
        load(root)


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        (["a", "b"], {"label": ["a", "b"]}, "holds names though its metadata expects numbers"),
        ([[0], [1]], None, "`label` in .* holds list.*; labels are whole numbers or names"),
        ([True, False], None, "holds bool; labels are whole numbers or names"),
    ],
)
def test_labels_of_other_kinds_are_refused(parquet, encoded, labels, names, said):
    root = parquet("train-0.parquet", [encoded(1), encoded(2)], {"label": labels}, names)
    with pytest.raises(InputError, match=said):
        load(root)


def test_numbers_in_one_file_and_names_in_another_are_refused(parquet, encoded):
    images = [encoded(1), encoded(2)]
    parquet("train-0.parquet", images, {"label": [0, 1]})
    root = parquet("train-1.parquet", images, {"label": ["a", "b"]})
    with pytest.raises(InputError, match=r"some files beside .* have numbers and some have names"):
        load(root)
