"""Files of a run are written whole or not at all."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tiny_runs import EPOCHS, STEPS, state_of, tiny

import longtail
from longtail.engine.train import fit
from longtail.runs.folder import RunFolder, next_free
from longtail.types import InputError


def test_an_interrupted_write_leaves_the_old_content(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_text("a/b.txt", "old")

    def half(file: BinaryIO) -> None:
        file.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write("a/b.txt", half)
    assert (tmp_path / "a/b.txt").read_text() == "old"
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_the_old_content_is_there_until_the_new_is_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_text("x", "old")

    def fill(file: BinaryIO) -> None:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "x").read_text() == "old"

    assert folder.write("x", fill).read_text() == "new"


def test_a_number_that_is_none_is_not_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json("a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_refusing_disk_is_one_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_text("x", "old")

    def full(_: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"cannot write .*x: No space left on device; free") as refused:
        folder.write("x", full)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "x").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        fit(tiny(), str(tmp_path / "run"), quiet=True)
    assert [file for file in (tmp_path / "run").rglob("*") if file.is_file()] == []


def test_a_disk_that_fills_up_loses_no_finished_epoch(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / "run", RunFolder.write

    def full_after_one_epoch(folder: RunFolder, name: str, fill: Callable[[BinaryIO], Any]) -> Path:
        def full(file: BinaryIO) -> None:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        late = name.endswith("last.pt") and (out / "log.jsonl").exists()
        return write(folder, name, full if late else fill)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write", full_after_one_epoch)
        with pytest.raises(InputError, match=r"last\.pt: No space left"):
            fit(tiny(), str(out), quiet=True)
    assert len(state_of(out)["records"]) == 1
    assert RunFolder(out).status() == {"status": "failed", "epoch": 1, "epochs": EPOCHS}
    assert len((out / "log.jsonl").read_text().splitlines()) == 1
    assert longtail.load(out).evaluate()["epoch"] == 1
    assert not list(out.rglob("*.partial"))
    fit(tiny(), str(out), resume=True, quiet=True)
    assert (out / "weights/last.safetensors").read_bytes() == (
        finished / "weights/last.safetensors"
    ).read_bytes()


def test_a_read_says_what_is_wrong(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(InputError, match="not a run folder"):
        folder.status()
    (tmp_path / "status.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        folder.status()


def test_create_refuses_where_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make "):
        RunFolder(tmp_path / "file" / "run").create()


def test_next_free(tmp_path: Path) -> None:
    assert next_free(tmp_path, "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    (tmp_path / "a-2").mkdir()
    assert next_free(tmp_path, "a") == tmp_path / "a-3"


def test_steps_are_as_the_other_tests_assume(finished: Path) -> None:
    classes = json.loads((finished / "classes.json").read_text())
    assert -(-sum(row["count"] for row in classes) // 32) == STEPS


def test_files_of_others_are_never_in_the_way_nor_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("poetry.lock", "movie.mkv.partial"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(InputError, match="is not empty"):
            folder.check_free()
        (tmp_path / name).unlink()
    (tmp_path / ".x.json.partial").write_text("left behind")
    folder.check_free()
    with folder.locked():
        folder.clear()
        assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_a_finished_run_that_cannot_be_written_to_says_that_it_is_finished(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: RunFolder) -> None:
        raise InputError("read-only")

    monkeypatch.setattr(RunFolder, "locked", refuse)
    assert fit(tiny(), str(finished), resume=True, quiet=True).path == finished


@pytest.mark.parametrize("content", ["[]", "{}", "\xff"])
def test_a_damaged_status_is_one_line(finished: Path, tmp_path: Path, content: str) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "status.json").write_text(content, "latin-1")
    for use in (longtail.load, longtail.Run, lambda path: fit(tiny(), str(path), resume=True, quiet=True)):
        with pytest.raises(InputError, match=r"status\.json is damaged"):
            use(run)


def test_only_a_run_in_training_with_a_checkpoint_is_resumed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)

    def full(_: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for is_training, is_begun in ((False, False), (True, False), (False, True), (True, True)):
        folder.is_training = is_training
        if is_begun:
            folder.write("state/last.pt", lambda file: file.write(b"state"))
        with pytest.raises(InputError) as refused:
            folder.write("x", full)
        assert ("--resume" in str(refused.value)) == (is_training and is_begun)
