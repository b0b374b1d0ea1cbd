"""CSV and Parquet tables of images."""

import csv
import datetime
import io
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.data import DataOptions, Split, load_data, load_test, source_of
from longtail.data.missing import why_missing
from longtail.data.packing import pack
from longtail.data.source_kinds import read_source
from longtail.data.sources.own.table import read_table
from longtail.types import InputError

TEXTS = ["007", "7", "NA", "nan", "None", "true", "1e5", "null"]


@pytest.fixture
def photos(tmp_path: Path, encoded: Callable[..., bytes]) -> Path:
    """`0.png` to `29.png`, each grey of its number, in a folder of their own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for value in range(30):
        (folder / f"{value}.png").write_bytes(encoded(value))
    return folder


def table(
    folder: Path, rows: Sequence[Sequence[str]], name: str = "photos.csv", encoding: str = "utf-8", **how: str
):
    text = io.StringIO(newline="")
    csv.writer(text, **how).writerows(rows)
    file = folder / name
    file.write_bytes(text.getvalue().encode(encoding))
    return file


def load(path: Path, **options):
    return load_data(DataOptions(name=source_of(path), path=str(path), image_size=8, **options))


def shades(data, split: Split) -> dict[str, list[int]]:
    """Class name -> grey value of its images."""
    names = [data.class_names[c] for c in split.targets.tolist()]
    values = split.images[:, 0, 0, 0].tolist()
    return {name: [v for n, v in zip(names, values, strict=True) if n == name] for name in data.class_names}


ROWS = [("path", "label"), ("0.png", "fox"), ("1.png", "owl"), ("2.png", "fox")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom"])
def test_delimiters_and_encodings(photos, delimiter, encoding):
    rows = [*ROWS[:3], ("2.png", "füchse; one,\ttwo")]
    file = table(photos, rows, delimiter=delimiter, encoding=encoding.removesuffix("-bom"))
    if encoding.endswith("bom"):
        file.write_bytes(b"\xfe\xff" + file.read_bytes())
    data = load(file)
    assert shades(data, data.train) == {"fox": [0], "füchse; one,\ttwo": [2], "owl": [1]}
    assert data.notes.reading == ()
    assert data.notes.single_image == data.class_names


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_stay_text(photos, suffix):
    paths = [f"{row}.png" for row in range(len(TEXTS))]
    file = photos / f"labels.{suffix}"
    if suffix == "csv":
        table(photos, [("path", "label"), *zip(paths, TEXTS, strict=True)], file.name)
    else:
        pq.write_table(pa.table({"path": paths, "label": TEXTS}), file)
    assert source_of(file) == "table"
    data = load(file)
    assert shades(data, data.train) == {name: [TEXTS.index(name)] for name in sorted(TEXTS)}


def test_whole_numbers_are_in_their_order(photos):
    file = photos / "numbers.parquet"
    pq.write_table(
        pa.table({"file": ["0.png", "1.png", "2.png"], "category": [10, 9, 0], "weight": [0.5] * 3}), file
    )
    data = load(file)
    assert data.class_names == ("0", "9", "10")
    assert shades(data, data.train) == {"0": [2], "9": [1], "10": [0]}
    assert data.notes.reading == ("numbers.parquet: path from 'file', label from 'category'",)


def test_parts_groups_and_other_columns(photos):
    rows = [("Image_Path", "Group", "Class", "Split", "age"), ("0.png", "g1", "fox", "TRAIN", "3")]
    rows += [
        ("1.png", "", "owl", "training", "4"),
        ("2.png", "g2", "fox", "Validation", ""),
        ("3.png", "g3", "owl", "test", ""),
    ]
    file = table(photos, rows)
    source = read_source(DataOptions(name="table", path=str(file)))
    assert source.train.groups == ("g1", "")
    assert source.train.columns["age"] == ("3", "4")
    assert not source.is_flat
    data = load(file)
    assert shades(data, data.train) == {"fox": [0], "owl": [1]}
    assert shades(data, data.val) == {"fox": [2], "owl": []}
    assert shades(data, data.test) == {"fox": [], "owl": [3]}
    assert "label from 'Class'" in data.notes.reading[0]


def test_classes_are_matched_by_name(photos):
    """A test split in another order, without a class and with one of its own."""
    rows = [("path", "label", "split")]
    rows += [(f"{v}.png", name, "train") for v, name in enumerate(["owl", "ant", "fox", "owl", "ant", "fox"])]
    rows += [
        (f"{v}.png", name, "test") for v, name in enumerate(["zebra", "owl", "aardvark", "fox", "owl"], 10)
    ]
    data = load(table(photos, rows))
    assert data.class_names == ("ant", "fox", "owl")
    assert shades(data, data.train) == {"ant": [1, 4], "fox": [2, 5], "owl": [0, 3]}
    assert shades(data, data.test) == {"ant": [], "fox": [13], "owl": [11, 14]}
    assert data.notes.unknown_classes == {"aardvark": 1, "zebra": 1}
    assert data.notes.not_tested == ("ant",)
    flat = table(
        photos, [("path", "label"), *((row[0], row[1]) for row in rows if row[2] == "test")], "test.csv"
    )
    again, _ = load_test(DataOptions(name="table", path=str(flat), image_size=8), data.class_names)
    assert torch.equal(again.images, data.test.images)
    assert torch.equal(again.targets, data.test.targets)


def test_paths(photos, tmp_path, encoded):
    odd = [
        "with space.png",
        "quo\"te's.png",
        "new\nline.png",
        "füchse ❄.PNG",
        "deep/er/1.Jpeg",
        " lead.png",
        "a,b;c.png",
    ]
    for value, name in enumerate(odd, 100):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(encoded(value))
    (tmp_path / "outside.png").write_bytes(encoded(200))
    (photos / "link.png").symlink_to(tmp_path / "outside.png")
    odd += [str(photos / "5.png"), "../outside.png", "link.png"]
    file = table(photos, [("path", "label"), *((name, "abc"[n % 3]) for n, name in enumerate(odd))])
    data = load(file)
    values = [100, 101, 102, 103, 104, 105, 106, 5, 200, 200]
    assert shades(data, data.train) == {name: values[c::3] for c, name in enumerate("abc")}
    assert data.train.ids == tuple(odd)
    assert not data.notes.unreadable


def test_names_that_are_no_utf8(photos, encoded):
    name = os.fsdecode(b"f\xfcchse.png")
    try:
        (photos / name).write_bytes(encoded(99))
    except OSError:
        pytest.skip("the file system takes UTF-8 names alone")
    file = photos / "latin.csv"
    file.write_bytes(b"path,label\nf\xfcchse.png,fox\n1.png,owl\n")
    data = load(file)
    assert shades(data, data.train) == {"fox": [99], "owl": [1]}
    file.write_bytes(b"path,label\n1.png,f\xfcchse\n2.png,owl\n")
    with pytest.raises(
        InputError, match=r"line 2 of latin.csv: label .* is no UTF-8 text; save the table as UTF-8"
    ):
        load(file)


@pytest.mark.parametrize(
    ("spelt", "hint"),
    [
        ("IMG/1/0.PNG", r"capitals.*: \S*img/1/0\.png exists"),
        ("img/1/0.png ", r"spaces or quotes around it: \S*img/1/0\.png exists"),
        ("'img/1/0.png'", "spaces or quotes around it"),
        ("file://{root}/img/1/a%20b.png", r"no address: \S*/img/1/a b\.png"),
        ("file:///gone/a.png", r"no address: /gone/a\.png"),
        ("s3://bucket/0.png", "not from addresses: download"),
        ("https://host/0.png", "not from addresses: download"),
        ("img\\1\\0.png", "divided by /"),
        ("/old/img/1/0.png", r"; img/1/0\.png exists there"),
        ("img/1/cafe\u0301.png", r"form of letters: \S*img/1/caf\u00e9\.png exists"),
    ],
)
def test_why_no_file_exists_is_said(photos, spelt, hint):
    (photos / "img/1").mkdir(parents=True)
    for name in ("0.png", "a b.png", "caf\u00e9.png"):
        (photos / "img/1" / name).touch()
    file = table(photos, [ROWS[0], (spelt.format(root=photos), "fox"), ("gone.png", "owl")])
    with pytest.raises(InputError, match=f"none of 2 train images.*{hint}"):
        read_table(file)


def test_no_cause_is_made_up(photos):
    assert (
        why_missing("gone.png", photos)
        == why_missing("", photos)
        == why_missing("x" * 5000 + "\0", photos)
        == ""
    )


def test_another_root(photos, tmp_path):
    file = table(tmp_path, ROWS)
    with pytest.raises(
        InputError,
        match=r"none of 3 train images .*photos.csv names exists, such as .*0.png; paths start",
    ):
        load(file)
    data = load(file, root=str(photos))
    assert shades(data, data.train) == {"fox": [0, 2], "owl": [1]}
    with pytest.raises(InputError, match="nowhere is no folder"):
        load(file, root=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"data.root is for inaturalist, list, table"):
        load(photos, root=str(photos))
    file = table(tmp_path, [("path", "label"), ("photos\\0.png", "fox"), ("photos\\1.png", "owl")])
    with pytest.raises(InputError, match="folders are divided by /"):
        load(file)


def test_missing_files_are_reported(photos):
    file = table(photos, [*ROWS, ("gone.png", "owl"), ("3.png", "owl")])
    data = load(file)
    assert shades(data, data.train) == {"fox": [0, 2], "owl": [1, 3]}
    assert [path for path, _ in data.notes.unreadable] == ["gone.png"]
    with pytest.raises(InputError, match="is not clean"):
        load(file, strict=True)


def test_a_name_too_long_for_a_file_is_one_unreadable_image(photos):
    file = table(photos, [*ROWS, ("3" * 300 + ".png", "fox")])
    ((name, reason),) = load(file).notes.unreadable
    assert name.startswith("333")
    assert reason == "File name too long"


def test_repeated_rows_count_once(photos):
    data = load(table(photos, [*ROWS, ROWS[1], ("./2.png", "fox")]))
    assert shades(data, data.train) == {"fox": [0, 2], "owl": [1]}
    assert "2 of 5 rows" in data.notes.remarks[0]


def test_classes_that_look_alike_are_reported(photos):
    data = load(table(photos, [*ROWS, ("3.png", "Fox "), ("4.png", "owl"), ("5.png", "FOX")]))
    assert data.class_names == ("FOX", "Fox ", "fox", "owl")
    assert "'FOX' = 'Fox ' = 'fox'" in data.notes.remarks[0]


@pytest.mark.parametrize("threads", [0, 2])
def test_images_may_stay_on_disk(photos, threads):
    data = load(table(photos, ROWS), augment=("resized_crop",), workers=threads)
    assert data.train.images.read(1)[0, 0, 0] == 1


def test_held_out_groups_are_whole(photos):
    groups = ["a", "a", "a", "b", "b", "c", "c", "c", "d", "d"] * 3
    rows = [(f"{v}.png", "fox" if v < 20 else "owl", f"{groups[v]}{v // 10}") for v in range(30)]
    file = table(photos, [("path", "label", "group"), *rows])
    data = load(file, validation=0.3)
    pack(file, photos / "packed")
    assert load(photos / "packed", validation=0.3).val.ids == data.val.ids
    group = {path: name for path, _, name in rows}
    sides = [{group[path] for path in part.ids} for part in (data.train, data.val)]
    assert not sides[0] & sides[1]
    held = torch.bincount(data.val.targets).tolist()
    assert abs(held[0] - 6) <= 1
    assert abs(held[1] - 3) <= 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], r"no column of text called path \(columns: none\)"),
        (
            [("a", "label"), ("0.png", "x")],
            r"no column of text called path \(columns: a, label\); in the first line, name one path or file",
        ),
        ([("path", "age"), ("0.png", "x")], r"no column of text called label \(columns: path, age\)"),
        ([("path", "label")], "photos.csv names no image"),
        ([*ROWS, ("3.png", "")], "line 5 of photos.csv: no label; fill it in"),
        ([*ROWS, ("3.png", " "), ("4.png", "")], "line 5 of photos.csv and 1 more: no label"),
        ([*ROWS, ("", "fox")], "line 5 of photos.csv: no path"),
        ([*ROWS, ("3.png", "fox", "x")], r"line 5 of .* has 3 values where the first line names 2 columns"),
        (
            [*ROWS, ("0.png", "owl")],
            r"0.png has two labels: 'fox' \(line 2 of photos.csv\) and 'owl' \(line 5",
        ),
        (
            [("path", "label", "split"), ("0.png", "fox", "dev")],
            "line 2 of photos.csv: split is 'dev'; write train, val",
        ),
        ([("path", "label", "split"), ("0.png", "fox", "")], "line 2 of photos.csv: no split"),
        (
            [("path", "label", "split"), ("0.png", "fox", "train"), ("0.png", "fox", "test")],
            "0.png has two parts: 'train'",
        ),
        (
            [("path", "label", "group"), ("0.png", "fox", "ann"), ("0.png", "fox", "bob")],
            "0.png has two groups: 'ann'",
        ),
        ([("path", "label", "label"), ("0.png", "fox", "fox")], "two columns of one name"),
        ([ROWS[0], ROWS[1]], "only class fox"),
    ],
)
def test_what_is_refused(photos, rows, said):
    with pytest.raises(InputError, match=said) as refused:
        load(table(photos, rows))
    assert "\n" not in str(refused.value)


def test_damaged_tables_are_refused(photos):
    for name, content in (
        ("a.csv", b'path,label\n"0.png,fox\n'),
        ("b.csv", b"\xff\xfep\x00a"),
        ("c.parquet", b"PAR1"),
        ("d.csv", b"x" * 200_000),
    ):
        (photos / name).write_bytes(content)
        with pytest.raises(InputError, match=re.escape(str(photos / name))):
            load(photos / name)


def test_gaps_among_whole_numbers_make_no_group_vanish(photos):
    file = photos / "floats.parquet"
    columns = {
        "path": ["0.png", "1.png", "2.png"],
        "label": [2.0, 10.0, 2.0],
        "split": pa.array(["train", "train", "test"]).dictionary_encode(),
        "group": [7.0, float("nan"), None],
    }
    pq.write_table(pa.table(columns), file)
    source = read_source(DataOptions(name="table", path=str(file)))
    assert source.train.class_names == ("2", "10")
    assert (source.train.groups, source.test.groups) == (("7", ""), ("",))
    pq.write_table(pa.table(columns | {"group": pa.nulls(3)}), file)
    assert read_source(DataOptions(name="table", path=str(file))).train.groups == ("", "")


@pytest.mark.parametrize(
    ("role", "values", "kind"),
    [
        ("split", pa.array([0.5, 1.5]), "double"),
        ("split", pa.array([b"train", b"test"]), "binary"),
        ("group", pa.array([1.5, None]), "double"),
        ("label", pa.array([["fox"], ["owl"]]), "list"),
    ],
)
def test_a_column_that_cannot_be_read_is_not_left_out_in_silence(photos, role, values, kind):
    columns = {"path": ["0.png", "1.png"], "label": ["fox", "owl"]} | {role: values}
    pq.write_table(pa.table(columns), photos / "odd.parquet")
    with pytest.raises(InputError, match=f"column '{role}', which would be the {role}, holds {kind}"):
        read_table(photos / "odd.parquet")


def test_lines_are_counted_as_an_editor_counts_them(photos):
    file = photos / "lines.csv"
    file.write_text('path,label\n\n"a\nb.png",fox\n\n1.png,\n')
    with pytest.raises(InputError, match=r"line 6 of lines.csv: no label"):
        load(file)


def test_sources_of_files(photos, parquet, encoded):
    (photos / "PHOTOS.CSV").write_text("path,label\n0.png,a\n1.png,b\n")
    (photos / "notes.md").write_text("nothing")
    assert source_of(photos / "PHOTOS.CSV") == "table"
    assert source_of(photos / "notes.md") == "folder"
    assert source_of(photos) == "folder"
    folder = parquet("train-0.parquet", [encoded(1), encoded(2)], {"label": ["a", "b"]})
    assert source_of(folder) == source_of(folder / "train-0.parquet") == "parquet"


def test_paths_without_an_ending_are_completed(photos, encoded):
    (photos / "deep").mkdir()
    (photos / "deep/a.1.JPG").write_bytes(encoded(50))
    (photos / "plain").write_bytes(encoded(51))
    (photos / "7").mkdir()
    rows = [("7", "x"), ("deep/a.1", "y"), ("plain", "y"), ("8.png", "x"), ("gone", "x")]
    data = load(table(photos, [("path", "label"), *rows]))
    assert data.train.ids == ("7.png", "deep/a.1.JPG", "plain", "8.png")
    assert [path for path, _ in data.notes.unreadable] == ["gone"]
    assert "photos.csv: 2 of 5 paths completed, such as 7 to 7.png" in data.notes.reading
    lines = photos / "list.txt"
    lines.write_text("".join(f"{path} {label}\n" for path, label in rows))
    assert load(lines).train.ids == data.train.ids


def test_a_path_that_several_files_fit_is_refused(photos, encoded):
    (photos / "7.jpg").write_bytes(encoded(1))
    with pytest.raises(
        InputError, match=r"line 3 of photos.csv: 7 could be 7.jpg or 7.png; write the ending"
    ):
        load(table(photos, [("path", "label"), ("8", "x"), ("7", "y")]))
    assert load(table(photos, [("path", "label"), ("8", "x"), ("7.png", "y")])).train.ids == (
        "8.png",
        "7.png",
    )


@pytest.mark.parametrize(
    "labels",
    [
        [1, 2, 10],
        [1.0, 2.0, 10.0],
        [True, False, True],
        ["007", "7", "NA"],
        ["1.5", "1.0", "x"],
        [datetime.date(2020, 1, 2), datetime.date(2020, 1, 3), datetime.date(2020, 1, 2)],
        pd.Categorical(["b", "a", "b"]),
        pd.Categorical([3, 20, 3]),
        pd.array([3, 20, 3], dtype="Int64"),
        ["é", "in side", "tail "],
    ],
)
def test_csv_and_parquet_have_the_same_classes(photos, labels):
    names = pd.DataFrame({"path": ["0.png", "1.png", "2.png"], "label": labels, "group": [1.0, None, 2.0]})
    names.to_csv(photos / "a.csv", index=False)
    names.to_parquet(photos / "a.parquet", index=False)
    one, two = (read_table(photos / f"a.{kind}").train for kind in ("csv", "parquet"))
    assert one.class_names == two.class_names
    assert one.targets.tolist() == two.targets.tolist()
    assert one.groups == two.groups == ("1", "", "2")


def test_blanks_before_a_label_are_no_part_of_it_in_csv_and_parquet(photos):
    names = pd.DataFrame({"path": ["0.png", "1.png", "2.png"], "label": [" fox", "fox", " owl "]})
    names.to_csv(photos / "a.csv", index=False)
    names.to_parquet(photos / "a.parquet", index=False)
    for kind in ("csv", "parquet"):
        source = read_table(photos / f"a.{kind}")
        assert source.train.class_names == ("fox", "owl ")
        assert any("no part of values" in line for line in source.reading)


def test_a_missing_label_is_refused_in_csv_and_parquet(photos):
    names = pd.DataFrame({"path": ["0.png", "1.png"], "label": [1.0, None]})
    names.to_csv(photos / "a.csv", index=False)
    names.to_parquet(photos / "a.parquet", index=False)
    for kind, place in (("csv", "line 3"), ("parquet", "row 2")):
        with pytest.raises(InputError, match=f"{place} of a.{kind}: no label"):
            read_table(photos / f"a.{kind}")


def test_bytes_that_are_no_utf8_are_named(photos):
    file = photos / "latin.csv"
    file.write_bytes("path,label\n0.png,fox\n1.png,füchse\n".encode("latin-1"))
    with pytest.raises(
        InputError, match=r"line 3 of latin.csv: label 'füchse', .* is no UTF-8 text.*as UTF-8"
    ):
        load(file)
    (photos / "latin.txt").write_bytes("0.png fox\n1.png füchse\n".encode("latin-1"))
    with pytest.raises(
        InputError, match=r"line 2 of .*latin.txt is no UTF-8 text \(byte 0xfc, ü in Windows-1252\)"
    ):
        load(photos / "latin.txt")
    file.write_bytes("path,label\nfüchse.png,fox\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"such as .*/füchse.png; .*latin.csv is no UTF-8 text"):
        load(file)


@pytest.mark.parametrize("ending", ["xlsx", "xls", "ods", "csv"])
def test_a_workbook_is_refused_with_what_to_do(photos, ending):
    (photos / f"t.{ending}").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match=r"workbook .*save the sheet as CSV in UTF-8"):
        load(photos / f"t.{ending}")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_lists_in_other_encodings(photos, encoding):
    (photos / "mine_train.txt").write_bytes("0.png fox\r\n1.png füchse\r\n".encode(encoding))
    for path in (photos / "mine_train.txt", photos):
        assert source_of(path) == "list"
        assert load(path).class_names == ("fox", "füchse")
