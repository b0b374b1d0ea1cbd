"""The file that predictions grow in: whatever stops a command, the next one goes on and ends with the same file."""

import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from longtail.predict import Outcome, predictions_file
from longtail.predict.predictions_file import PredictionsFile
from longtail.types import InputError

SETTINGS: dict[str, Any] = {"top_k": 1, "prior": {"fox": 0.1, "owl": 0.9}, "abstain_below": None}
PATHS = ["a.png", "line\nbreak, 'b'.png", os.fsdecode(b"\xff\xfe.png"), "überall.png", "e.png"]


def table(paths: list[str]) -> pd.DataFrame:
    places = [PATHS.index(path) for path in paths]
    columns = {
        "path": pd.Series(paths, dtype=object),
        "label": ["fox" if place % 2 else "" for place in places],
        "confidence": [1 / (place + 3) for place in places],
        "agreement": [2 / 3] * len(paths),
        "abstained": [place % 2 == 0 for place in places],
    }
    return pd.DataFrame(columns)


def write(out: Path, *, resume: bool = False, stop_after: int | None = None) -> None:
    """What the command does, two images at a time; `stop_after` so many images Ctrl-C comes."""
    file = PredictionsFile(out)
    file.check_free(resume=resume, overwrite=False)
    with file.opened(SETTINGS, resume=resume):
        for start in range(0, len(PATHS), 2):
            if start == stop_after:
                raise KeyboardInterrupt
            if left := [path for path in PATHS[start : start + 2] if path not in file.done]:
                file.add(table(left))
        file.finish()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_wherever_it_was_cut_the_same_file_comes_out(tmp_path: Path, suffix: str) -> None:
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    write(whole)
    with pytest.raises(KeyboardInterrupt):
        write(out, stop_after=4)
    partial = tmp_path / f"out.{suffix}.partial"
    content = partial.read_bytes()
    for length in range(0, len(content) + 1, 5 if suffix == "csv" else 31):
        partial.write_bytes(content[:length])
        out.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            write(out, resume=True, stop_after=0)
        assert partial.read_bytes().startswith(b'{"settings"')
        write(out, resume=True)
        assert out.read_bytes() == whole.read_bytes(), length
        assert not partial.exists()


def test_what_is_written_is_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions_file, "ROWS", 2)
    write(tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_bytes()
    assert text.startswith(b"path,label,confidence,agreement,abstained\na.png,,0.333333,0.666667,true\n")
    assert b"\"line\nbreak, 'b'.png\",fox," in text
    assert b"\n\xff\xfe.png," in text
    write(tmp_path / "out.parquet")
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert list(found["path"]) == [*PATHS[:2], r"\udcff\udcfe.png", *PATHS[3:]]
    assert found["confidence"].dtype == "float32"
    assert found["abstained"].dtype == "bool"
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.csv", ".out.csv.settings", "out.parquet", ".out.parquet.settings",
    }  # fmt: skip


def test_rows_of_other_settings_or_of_another_command_are_left_alone(tmp_path: Path) -> None:
    out, partial = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    with pytest.raises(KeyboardInterrupt):
        write(out, stop_after=2)
    before = partial.read_bytes()
    with (
        pytest.raises(InputError, match=r"other settings \(top_k\)"),
        PredictionsFile(out).opened(SETTINGS | {"top_k": 2}, resume=True),
    ):
        pass
    with pytest.raises(InputError, match="resume it with resume=True"):
        write(out)
    with PredictionsFile(out).opened(SETTINGS, resume=True):
        for resume in (True, False):
            with (
                pytest.raises(InputError, match="another command"),
                PredictionsFile(out).opened(SETTINGS, resume=resume),
            ):
                pass
    assert partial.read_bytes() == before


def empty_row(path: str) -> pd.DataFrame:
    return table([path]).assign(label=None, confidence=float("nan"), agreement=float("nan"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_empty_rows_are_filled_in_their_place_and_rows_of_one_name_counted(
    tmp_path: Path, suffix: str
) -> None:
    file = PredictionsFile(tmp_path / f"out.{suffix}")
    with file.opened(SETTINGS, resume=False):
        for piece in (empty_row("a.png"), table(["e.png"]), empty_row("a.png"), empty_row(PATHS[1])):
            file.add(piece)
    assert (file.rows, file.predicted) == (4, 1)
    file = PredictionsFile(file.out)
    with file.opened(SETTINGS, resume=True):
        assert (file.rows, file.predicted, file.empty) == (4, 1, ["a.png", "a.png", PATHS[1]])
        assert file.done == {"a.png": 2, "e.png": 1, PATHS[1]: 1}
        for piece in (table(["a.png"]), empty_row(PATHS[1])):
            file.fill(piece)
        file.finish([(PATHS[1], "empty")])
    found = (pd.read_csv if suffix == "csv" else pd.read_parquet)(file.out)  # type: ignore[operator]
    assert found["path"].tolist() == ["a.png", "e.png", "a.png", PATHS[1]]
    assert found["confidence"].isna().tolist() == [False, False, False, True]


def test_a_first_row_group_without_a_prediction_keeps_the_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions_file, "ROWS", 1)
    file = PredictionsFile(tmp_path / "out.parquet")
    with file.opened(SETTINGS, resume=False):
        file.add(empty_row("a.png"))
        file.add(table([PATHS[1]]))
        file.finish()
    assert pd.read_parquet(file.out)["label"].fillna("none").tolist() == ["none", "fox"]


@pytest.mark.parametrize(
    "content", [b"no JSON\n", b"[]\n", b'{"settings": 3}\n', b"{}\n", b'{"settings": {}}\nnull\n']
)
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    partial = tmp_path / "out.csv.partial"
    partial.write_bytes(content)
    with pytest.raises(InputError, match=r"start again with overwrite=True"):
        write(tmp_path / "out.csv", resume=True)
    assert partial.read_bytes() == content


def test_nothing_is_left_of_a_command_without_a_row(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.csv", stop_after=0)
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_unreadable_images_replaces_none_of_another_command(tmp_path: Path) -> None:
    other = tmp_path / "out.unreadable.csv"
    other.write_text("of out.parquet's brother")
    write(tmp_path / "out.parquet")
    assert other.read_text() == "of out.parquet's brother"
    (tmp_path / "p.csv.unreadable.csv").write_text("somebody's")
    with pytest.raises(InputError, match=r"p\.csv\.unreadable\.csv exists"):
        write(tmp_path / "p.csv")


@pytest.mark.parametrize("name", [".", "/"])
def test_a_folder_is_no_file(name: str) -> None:
    with pytest.raises(InputError, match="is not a file"):
        PredictionsFile(Path(name)).check_free(resume=False, overwrite=False)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
def test_a_full_disk_is_reported_with_the_way_on(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = PredictionsFile(tmp_path / "out.csv")
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))  # room for the settings alone
    try:
        with (
            pytest.raises(InputError, match="repeat it with resume=True"),
            file.opened(SETTINGS, resume=False),
        ):
            file.add(table(PATHS))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_finished_file_is_taken_for_done_only_where_it_is_what_was_asked_for(tmp_path: Path) -> None:
    file = PredictionsFile(tmp_path / "out.csv")
    write(file.out)
    assert file.is_finished
    file.check_finished(SETTINGS)
    with pytest.raises(InputError, match=r"made with other settings \(top_k, prior\).*overwrite=True"):
        file.check_finished(SETTINGS | {"top_k": 2, "prior": None})
    file.settings_file.unlink()
    with pytest.raises(InputError, match="not known any more; start again with overwrite=True"):
        file.check_finished(SETTINGS)


def test_one_image_is_spoken_of_as_one() -> None:
    assert Outcome(1, 1, 1).review_lines()[0].startswith("1 of 1 image has no label: its")
    assert Outcome(500, 1, 2).review_lines()[1].startswith("1 of 500 images needs review")
    assert "disagree" not in Outcome(500, 1).review_lines()[0]
    assert "disagree" in Outcome(500, 2, divided=1).review_lines()[0]
    assert Outcome(500, 2, 2).review_lines()[0].startswith("2 of 500 images have no label: their")
