"""Stored files are read in one way: every fault is one short line that names file, field and remedy."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, RootModel

from longtail.records import (
    MOST_DEPTH,
    Record,
    check_record,
    parse_json,
    parse_record,
    parse_toml,
    read_lines,
    read_record,
)
from longtail.types import InputError


class Status(Record):
    epoch: Annotated[int, Field(ge=0)]
    name: str
    score: float | None = None


class Rows(RootModel[list[Status]]):
    pass


def refusal(text: str | bytes, tmp_path: Path) -> str:
    file = tmp_path / "status.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as refused:
        read_record(file, Status, "restore it")
    said = str(refused.value)
    assert said.startswith(str(file))
    assert said.endswith("; restore it")
    assert "\n" not in said
    assert len(said) < len(str(file)) + 350
    return said.removeprefix(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        ("[" * 10**6, "deep"),
        ('{"a": ' * 10**5, "deep"),
        ('{"epoch": 1, "name": "a", "more": ' + "[" * MOST_DEPTH + "]" * MOST_DEPTH + "}", "deep"),
        ('{"epoch": 1, "epoch": 2, "name": "a"}', "'epoch' is there twice"),
        ('{"epoch": 1, "name": "a", "score": NaN}', "NaN"),
        ('{"epoch": 1, "name": "a", "score": -Infinity}', "Infinity"),
        ('{"epoch": 1, "name": "a", "score": 1e999}', "1e999"),
        ('{"epoch": 1, "name": "a", "more": NaN}', "NaN"),
        ('{"epoch": ' + "9" * 10**5 + ', "name": "a"}', "100,000 digits"),
        ('{"epoch": 1, "name": "\\ud800"}', "Unicode"),
        ("[]", "list"),
        ("null", "None"),
        ('{"epoch": 1}', "name is missing"),
        ('{"epoch": -3, "name": "a"}', "epoch .* -3"),
        ('{"epoch": true, "name": "a"}', "epoch .* True"),
        ('{"epoch": 1.5, "name": "a"}', r"epoch .* 1\.5"),
        ('{"epoch": "1", "name": "a"}', "epoch .* '1'"),
        ('{"epoch": 1, "name": ["a"]}', "name .* list of 1"),
        ('{"epoch": 1, "name": null}', "name .* None"),
        (json.dumps({"epoch": "x" * 10**6, "name": "a"}), "epoch .* 'xxx"),
        (json.dumps({"epoch": 1, "name": "a", "score": "line\nbreak"}), "score"),
    ],
)
def test_a_damaged_file_is_refused_in_one_short_line(text: str | bytes, said: str, tmp_path: Path) -> None:

    assert re.search(said, refusal(text, tmp_path))


def test_a_sound_file_is_read_and_unknown_keys_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text('\ufeff{"epoch": 1, "name": "\\ud83d\\ude00", "later": [1]}', "utf-8")
    found = read_record(file, Status, "restore it")
    assert found.model_dump(exclude_unset=True) == {"epoch": 1, "name": "😀", "later": [1]}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; restore it"):
        read_record(tmp_path / "status.json", Status, "restore it")
    with pytest.raises(InputError, match="is no file; restore it"):
        read_record(tmp_path, Status, "restore it")


def test_a_file_of_unbounded_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    with file.open("wb") as opened:
        opened.truncate(10**12)  # a hole
    with pytest.raises(InputError, match="1,000,000,000,000 bytes"):
        read_record(file, Status, "restore it")
    with pytest.raises(InputError, match="more than 10"):
        parse_json("[1, 2, 3, 4]", "it", "cut it", most=10)


def test_names_of_files_need_be_no_unicode() -> None:
    assert parse_json('["\\ud800"]', "it", "fix it", file_names=True) == ["\ud800"]


def test_lines_are_named_by_their_number(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"epoch": 1, "name": "a"}\n{"epoch": 2, "name": "b\u2028"}\n', "utf-8")
    assert [line.epoch for line in read_lines(file, Status, "go on")] == [1, 2]
    file.write_text('{"epoch": 1, "name": "a"}\n{"epoch": 2}\n', "utf-8")
    with pytest.raises(InputError, match=r"log\.jsonl, line 2, .*name is missing.*; go on"):
        read_lines(file, Status, "go on")


def test_lists_of_records_say_which_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[1\]\.epoch"):
        parse_record('[{"epoch": 1, "name": "a"}, {"epoch": -1, "name": "b"}]', Rows, "it", "fix it")


@pytest.mark.parametrize(
    "text",
    [
        "[data", "a = " + "9" * 5000, "a = 0x" + "f" * 5000, "a = " + "[" * 10**4, "b = 1\nb = 2",
        ".".join("a" * 10**4) + " = 1", ".".join("a" * 199) + " = 1", "#" * 10**6,
    ],
)  # fmt: skip
def test_toml_is_bounded(text: str) -> None:
    with pytest.raises(InputError, match=r"^recipe\.toml is .*; correct it$") as refused:
        parse_toml(text, "recipe.toml", "correct it")
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "value", [10**400, 10**5000, float("nan"), float("inf")], ids=["large", "huge", "nan", "inf"]
)
def test_numbers_of_other_sources_are_bounded(value: Any) -> None:
    with pytest.raises(InputError, match="score"):
        check_record({"epoch": 1, "name": "a", "score": value}, Status, "a checkpoint", "train again")
