"""Classes have one order, whatever form the set comes in."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.data import DataOptions, source_of
from longtail.data.audit import check
from longtail.data.dividing import divide
from longtail.data.packing import pack
from longtail.data.rows import natural, ordered
from longtail.data.source_kinds import read_source

NUMBERS = ("1", "2", "10")
MIXED = (
    *("-1", "01", "1", "2", "10", "Img3", "a", "a-", "a1", "b2c3", "b2c20", "b10"),
    *("img2", "img10", "é2", "é10"),
)


@pytest.mark.parametrize("names", [NUMBERS, MIXED])
def test_every_source_has_the_same_order(names: tuple[str, ...], tmp_path: Path, tree, encoded) -> None:
    root = tree({name: [2 * n, 2 * n + 1] for n, name in enumerate(names)})
    found = {name: f"{name}/000.png" for name in reversed(names)}
    rows = [(path, name) for name, path in found.items()]
    pairs = tmp_path / "table.csv", tmp_path / "list.txt", tmp_path / "notes.json", tmp_path / "table.parquet"
    pairs[0].write_text("path,label\n" + "".join(f"{path},{name}\n" for path, name in rows), "utf-8")
    pairs[1].write_text("".join(f"{path} {name}\n" for path, name in rows), "utf-8")
    images = [{"id": n, "file_name": path} for n, path in enumerate(found.values())]
    entries = [{"image_id": n, "category_id": n} for n in range(len(rows))]
    kinds = [{"id": n, "name": name} for n, name in enumerate(found)]
    pairs[2].write_text(json.dumps({"images": images, "annotations": entries, "categories": kinds}))
    pq.write_table(pa.table({"path": [*found.values()], "label": [*found]}), pairs[3])
    shards = tmp_path / "train-00000-of-00001.parquet"
    pq.write_table(pa.table({"image": [encoded(1)] * len(rows), "label": [*found]}), shards)
    pack(root, tmp_path / "packed", short_side=8)
    division = divide(root, tmp_path, test=0.5)
    assert tuple(division.counts) == names
    for file in (root, shards, tmp_path / "packed", *pairs):
        given = None if file in (root, shards, tmp_path / "packed") else str(root)
        source = read_source(DataOptions(name=source_of(file), path=str(file), root=given))
        assert source.train is not None
        assert source.train.class_names == names, file
        labels = [source.train.class_names[c] for c in source.train.targets.tolist()]
        if given is not None:
            assert labels == [*found]
    assert check(root).classes == names


def test_whole_numbers_of_parquet_are_in_that_order_too(tmp_path: Path, encoded) -> None:
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": [encoded(1)] * 4, "label": [10, 2, 1, -3]}), file)
    source = read_source(DataOptions(name="parquet", path=str(file)))
    assert source.train is not None
    assert source.train.class_names == ("-3", "1", "2", "10")
    assert source.train.targets.tolist() == [3, 2, 1, 0]


def test_the_order_is_total_and_that_of_text_where_no_two_numbers_meet() -> None:
    shuffled = [*MIXED, "9" * 5000, "0", "00", ""]
    random.Random(0).shuffle(shuffled)
    once = ordered(shuffled)
    assert ordered(reversed(shuffled)) == once
    assert once.index("9" * 5000) == once.index("10") + 1
    assert once[:5] == ("", "-1", "0", "00", "01")
    words = ["fox", "Fox", "fox 2", "a_b", "ab", "a-b", "a2", "ß", "ä", "\n", "９", "猫"]
    assert sorted(words, key=natural) == sorted(words)
