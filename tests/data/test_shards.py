"""Shards of Parquet files: all of a part's are there, once, or the set is refused by name."""

import pytest

from longtail.data.parquet_set import read_parquet
from longtail.data.shards import check_shards, parquet_files
from longtail.types import InputError

COMPLETE = {
    "two": ["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"],
    "hashed": ["train-00000-of-00001-b42a775f407cee45"],
    "plain": ["train", "test"],
    "numbered": ["train-0", "train-1", "validation-0"],
}
REFUSED = {
    "last": (
        ["train-00000-of-00002"],
        r"1 of 2 shards of the train split are missing from .*: train-00001-of-00002.parquet",
    ),
    "first": (["train-00001-of-00002"], r"are missing from .*: train-00000-of-00002.parquet"),
    "many": (["train-00003-of-00009"], r"8 of 9 shards .*00000-of-00009.parquet, .* and 5 more; download"),
    "hashed": (["train-00000-of-00002-abc"], r"missing from .*: train-00001-of-00002.parquet"),
    "test": (["train-0", "test-00000-of-00003"], r"2 of 3 shards of the test split are missing"),
    "two sets": (["train-00000-of-00001", "train-00000-of-00002"], r"are shards of different sets"),
    "twice": (["train-00000-of-00001-a", "train-00000-of-00001-b"], r"are the same shard; remove one"),
    "beyond": (["train-00000-of-00001", "train-00001-of-00001"], r"does not have; remove or rename"),
    "mixed": (["train-00000-of-00001", "train"], r"is no shard of it; remove one"),
    "two spellings": (["train-0", "valid-0", "validation-0"], r"both the same split; keep one"),
}


@pytest.fixture
def folder(tmp_path):
    def make(names):
        for name in names:
            (tmp_path / f"{name}.parquet").parent.mkdir(exist_ok=True)
            (tmp_path / f"{name}.parquet").touch()
        return tmp_path

    return make


@pytest.mark.parametrize("case", COMPLETE)
def test_complete_sets(folder, case):
    files = parquet_files(folder(COMPLETE[case]))
    check_shards(files)
    assert sum(map(len, files.values())) == len(COMPLETE[case])


@pytest.mark.parametrize("case", REFUSED)
def test_incomplete_sets_are_refused_by_name(folder, case):
    names, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        read_parquet(folder(names))


def test_one_shard_given_by_name_is_read_and_said(parquet, encoded):
    name = "train-00000-of-00002.parquet"
    root = parquet(name, [encoded(1), encoded(2)], {"label": [0, 1]})
    source = read_parquet(root / name)
    assert len(source.train.ids) == 2
    assert "one of 2 shards" in source.remarks[0]


def test_files_of_no_part_are_named(parquet, encoded):
    for name in ("train-0", "unsupervised-0", "data/train-0", "data/extra"):
        root = parquet(f"{name}.parquet", [encoded(1), encoded(2)], {"label": [0, 1]})
    source = read_parquet(root)
    assert len(source.train.ids) == 2
    assert sorted((one.count, one.examples) for one in source.left_out) == [
        (1, ("data/train-0.parquet",)), (2, ("unsupervised-0.parquet", "data/extra.parquet")),
    ]  # fmt: skip
    assert all(one.is_problem for one in source.left_out)
