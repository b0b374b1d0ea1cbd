"""Lists of paths on standard input, as programs and people write them."""

import os
from pathlib import Path

import pytest

from longtail.cli.path_list import paths_in

NAMES = ["a.png", "mein Bild.png", "ü 画.png"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-le-sig", "utf-16-be-sig"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends_are_no_part_of_a_path(encoding: str, end: str) -> None:
    text = end.join([NAMES[0], "", *NAMES[1:], "   ", ""])
    if encoding.endswith("-sig") and "16" in encoding:
        content = ("\ufeff" + text).encode(encoding.removesuffix("-sig"))
    else:
        content = text.encode(encoding)
    assert paths_in(content) == NAMES


def test_nul_separates_names_with_line_breaks() -> None:
    assert paths_in(b"line\nbreak.png\0b.png\0") == ["line\nbreak.png", "b.png"]
    assert paths_in(b"\xff.png\n") == [os.fsdecode(b"\xff.png")]


def test_spaces_and_quotes_go_where_the_file_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b.png", " c.png ", '"d".png', '"e.png"'):
        Path(name).touch()
    lines = [
        " a b.png\t",
        '"a b.png"',
        "'a b.png' ",
        " c.png ",
        '"d".png',
        '"e.png"',
        ' "gone.png"',
        "x" * 5000,
    ]
    expected = ["a b.png"] * 3 + [" c.png ", '"d".png', '"e.png"', '"gone.png"', "x" * 5000]
    assert paths_in("\n".join(lines).encode()) == expected
