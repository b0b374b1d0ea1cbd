"""Every table that we write is read back to the letter, and those of spreadsheets are read as they are meant."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from longtail.csv_text import csv_text, parse_csv, read_csv, rows_of, write_tables
from longtail.data.sources.own.table import read_table
from longtail.estimator.pictures import _write_table
from longtail.predict.prior import class_mix
from longtail.predict.unreadable import write_unreadable
from longtail.runs.folder import RunFolder
from longtail.runs.tables import read_confusions, read_per_class, read_splits
from longtail.text_file import decode, encode
from longtail.types import InputError

NAMES = (
    *(
        "a\rb",
        "\r",
        "a\nb",
        "a\r\nb",
        'quo"te',
        '"',
        "com,ma",
        "semi;colon",
        "tab\tbed",
        "\t",
        " lead",
        "trail ",
        " ",
    ),
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        "#1",
        "NA",
        "nan",
        "None",
        "null",
        "1",
        "007",
        "1e5",
        "1.0",
        "True",
        "true",
        "1,5",
    ),
    *(
        "\ufeffmark",
        "sep=;",
        "كلب",
        "👩‍🔬",
        "café",
        "cafe\u0301",
        "nul\0l",
        "\x1b[31m",
        "\x85",
        "\u2028",
        "'",
        "\\",
        "path",
    ),
)
FILES = (*NAMES, "byte\udcff.png")


def read(text: str, *known: tuple[str, ...]) -> dict[str, list[str]]:
    return parse_csv(text, Path("t.csv"), known).columns


@pytest.mark.parametrize("one", [*FILES, ""])
def test_a_value_alone(one: str) -> None:
    text = csv_text([("first", "second"), (one, "x"), ("x", one)])
    assert read(decode(encode(text), "t.csv")) == {"first": [one, "x"], "second": ["x", one]}
    plain = csv.reader(io.StringIO(text, newline=""), strict=True)  # others read the same
    assert [*plain] == [["first", "second"], [one, "x"], ["x", one]]


def test_every_table_that_we_write(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    classes = [{"name": name, "index": c, "count": 1, "group": "few"} for c, name in enumerate(NAMES)]
    rolled = [*NAMES[1:], NAMES[0]]
    per_class = {
        **{"class": NAMES, "group": "few", "train_images": 1, "test_images": 2, "correct": 1},
        **{"recall": 0.5, "precision": [None, *[1.0] * (len(NAMES) - 1)], "mistaken_for": ["", *rolled[1:]]},
    }
    folder.write_csv("per_class.csv", rows_of(pd.DataFrame(per_class)))
    found = read_per_class(tmp_path / "per_class.csv", classes, "")
    assert found["mistaken_for"].tolist() == ["", *rolled[1:]]
    assert np.isnan(found["precision"][0])
    confusions = pd.DataFrame({"class": NAMES, "predicted": rolled, "images": 3})
    folder.write_csv("confusions.csv", rows_of(confusions))
    pd.testing.assert_frame_equal(
        read_confusions(tmp_path / "confusions.csv", classes, ""), confusions, check_dtype=False
    )
    rows = [
        ("path", "class", "split", "group"),
        *zip(FILES, (*NAMES, "NA"), ["train"] * 99, (*rolled, ""), strict=False),
    ]
    rows[-1] = (rows[-1][0], "NA", "test", "")
    folder.write_csv("splits.csv", rows)
    splits = read_splits(tmp_path / "splits.csv", classes, "")
    assert [*splits["class"]] == [*NAMES, "NA"]
    assert [*splits["group"]] == [*rolled, ""]
    assert [*splits["path"]] == [*NAMES, "byte\\udcff.png"]
    predictions = pd.DataFrame({"path": FILES, "label": (*NAMES, "")}, dtype=object)
    predictions = predictions.assign(confidence=np.float32(1 / 3), abstained=True)
    write_tables([predictions, predictions], tmp_path / "predictions.csv")
    columns = read_csv(tmp_path / "predictions.csv").columns
    assert columns["path"] == [*FILES, *FILES]
    assert columns["label"] == [*NAMES, "", *NAMES, ""]
    assert (columns["confidence"][0], columns["abstained"][0]) == ("0.333333", "true")
    write_unreadable(tmp_path / "unreadable.csv", list(zip(FILES, FILES, strict=True)))
    assert read_csv(tmp_path / "unreadable.csv").columns == {"path": [*FILES], "reason": [*FILES]}
    folder.write_csv("prior.csv", [("class", "weight"), *((name, c) for c, name in enumerate(NAMES))])
    import torch

    mix = class_mix(tmp_path / "prior.csv", NAMES, torch.ones(len(NAMES), dtype=torch.int64))
    assert torch.equal(mix.argsort(), torch.arange(len(NAMES)))


def test_tables_of_images_that_we_write_are_trained_on(tmp_path: Path) -> None:
    kept = [(name, name) for name in NAMES if name.strip() and "\0" not in name]
    for name, _ in kept:
        (tmp_path / name).write_bytes(b"")
    _write_table(
        tmp_path / "images.csv", [Path(name) for name, _ in kept], [label for _, label in kept], None
    )
    source = read_table(tmp_path / "images.csv")
    assert source.train is not None
    assert set(source.train.class_names) == {label for _, label in kept}
    assert source.train.ids == tuple(name for name, _ in kept)
    assert not source.reading


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na b.png,x y\n",
        "sep=;\r\npath;label\r\na b.png;x y\r\n",
        '"sep=\t"\npath\tlabel\na b.png\tx y\n',
        "label, path\nx y, a b.png\n",
        '"label", "path"\n"x y", "a b.png"\n',
        "path,label,,\na b.png,x y,,\n,,,\n\n",
        "path,label\na b.png,x y,,\n",
        "# made by a program\n\n#path was checked\nPath,Label\na b.png,x y\n",
        "#,path,label\n1,a b.png,x y\n",
        "path,label\ra b.png,x y\r",
        'notes;path;label\n"1,5;2,5";a b.png;x y\n',
        "path|label".replace("|", ";") + "\n\na b.png;x y",
        f"path,label,mask\na b.png,x y,{'1 2 ' * 100_000}\n",
        ",path,label\n0,a b.png,x y\n",
    ],
)
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_what_spreadsheets_and_programs_write(text: str, encoding: str) -> None:
    found = parse_csv(decode(text.encode(encoding), "t.csv"), Path("t.csv"), (("path",), ("label",))).columns
    lowered = {name.lower(): values for name, values in found.items()}
    assert (lowered["path"], lowered["label"]) == (["a b.png"], ["x y"])


def test_quoted_spaces_stay_and_what_was_taken_away_is_reported() -> None:
    table = parse_csv('label, path\n" a", b\n', Path("t.csv"))
    assert table.columns == {"label": [" a"], "path": ["b"]}
    assert table.remarks == ["spaces after commas are no part of values"]
    untouched = parse_csv('label,path\n a,"b, c"\n', Path("t.csv"))
    assert untouched.columns == {"label": [" a"], "path": ["b, c"]}
    assert not untouched.remarks


def test_lines_are_those_of_the_file() -> None:
    assert parse_csv('sep=,\n\na,b\n1,2\n\n"3\n",4\n5,6\n', Path("t.csv")).lines == [4, 6, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\na,b.png,x\n", "line 2 of t.csv has 3 values where the first line names 2"),
        ("path,label\nx\n", "line 2 of t.csv has 1 value"),
        ("path,label,\na,b,note\n", "line 2 of t.csv has 3 values"),
        ("path,path\na,b\n", "two columns of one name"),
        ('path,label\n"a,b\n', "line 2 of t.csv is no sound CSV"),
    ],
)
def test_what_is_no_table(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04rest", "workbook"),
        (b"\xd0\xcf\x11\xe0rest", "workbook"),
        (b"PAR1rest", "Parquet"),
        (b"\x1f\x8brest", "compressed"),
        (b"\xff\xfep", "UTF-16"),
        ("path,label\n\ud800".encode("utf-16-le", "surrogatepass"), "UTF-16"),
    ],
)
def test_what_is_no_text(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"t.csv .*{said}"):
        decode(data, "t.csv")


def test_whole_numbers_that_were_floating_lose_their_point_unless_they_are_quoted() -> None:
    floating = parse_csv("path,label,mixed\na,1.0,1.0\nb,10.0,x\nc,,1.0\n", Path("t.csv"))
    assert floating.whole_numbers("label") == ["1", "10", ""]
    assert floating.remarks == ["the whole numbers of 'label' without their .0"]
    assert floating.whole_numbers("mixed") == ["1.0", "x", "1.0"]
    ours = parse_csv(csv_text([("path", "label"), ("a", "1.0"), ("b", "2.0")]), Path("t.csv"))
    assert ours.whole_numbers("label") == ["1.0", "2.0"]
