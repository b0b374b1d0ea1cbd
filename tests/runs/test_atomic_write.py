"""Files and folders have their name once they are whole and on disk, and not before."""

import errno
import os
from pathlib import Path

import pytest

from longtail.runs.atomic_write import atomic_write, writing
from longtail.types import InputError


def fill(place: Path, text: str, *, folder: bool) -> None:
    if folder:
        place.mkdir()
    (place / "a" if folder else place).write_text(text)


def content(place: Path) -> str:
    return (place / "a" if place.is_dir() else place).read_text()


@pytest.mark.parametrize("folder", [False, True])
def test_the_old_stays_until_the_new_is_whole(tmp_path: Path, folder: bool) -> None:
    out = tmp_path / "new" / "x"
    for text in ("old", "new"):
        with atomic_write(out) as partial:
            fill(partial, text, folder=folder)
            assert not out.exists() or content(out) == "old"
        assert content(out) == text
        assert list(out.parent.iterdir()) == [out]
    with pytest.raises(KeyboardInterrupt), atomic_write(out) as partial:  # noqa: PT012
        fill(partial, "half", folder=folder)
        raise KeyboardInterrupt
    assert content(out) == "new"
    assert list(out.parent.iterdir()) == [out]


def left_behind(place: Path, text: str, *, folder: bool, kind: str = "") -> Path:
    """What a process leaves of making `place` that is killed before it can tidy up."""
    own = place.with_name(f".{place.name}.0123abcd.partial")
    own.mkdir()
    (own / ".lock").touch()
    fill(own / (kind or place.name), text, folder=folder)
    return own


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_is_removed_and_not_used(tmp_path: Path, folder: bool) -> None:
    left_behind(tmp_path / "x", "left", folder=not folder)
    other = left_behind(tmp_path / "x.y", "of another file", folder=False)
    with atomic_write(tmp_path / "x") as partial:
        assert not partial.exists()
        fill(partial, "new", folder=folder)
    assert content(tmp_path / "x") == "new"
    assert sorted(tmp_path.iterdir()) == [other, tmp_path / "x"]


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_living_process_makes_is_left_alone(tmp_path: Path, folder: bool) -> None:
    out = tmp_path / "x"
    with atomic_write(out) as first:
        fill(first, "first", folder=folder)
        with atomic_write(out) as second:
            fill(second, "second", folder=folder)
        assert content(out) == "second"
        assert content(first) == "first"
    assert content(out) == "first"
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_was_moved_aside_comes_back(tmp_path: Path) -> None:
    """A process was killed between moving the old folder aside and giving the new one its name."""
    out = tmp_path / "x"
    left_behind(out, "old", folder=True, kind=".old")
    with pytest.raises(KeyboardInterrupt), atomic_write(out):
        raise KeyboardInterrupt
    assert content(out) == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_long_name_has_room_beside_it(tmp_path: Path) -> None:
    out = tmp_path / ("\u00e9" * 120)
    with atomic_write(out) as partial:
        fill(partial, "new", folder=False)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EFBIG, "raise the limit"),
        (errno.EACCES, "fix the permissions"),
        (errno.EIO, "check the disk"),
        (errno.ELOOP, "fix this"),
    ],
)
def test_the_advice_is_of_the_cause(tmp_path: Path, number: int, cure: str) -> None:
    with pytest.raises(InputError) as refused, writing(tmp_path / "x", "then repeat it"):
        raise OSError(number, os.strerror(number))
    assert f"cannot write {tmp_path / 'x'}: {os.strerror(number)}; {cure}" in str(refused.value)
    assert str(refused.value).endswith(", then repeat it")


def test_a_fault_of_a_file_that_is_read_is_not_one_of_the_file_that_is_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="photo"), atomic_write(tmp_path / "x"):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(tmp_path / "photos" / "photo.png"))


def test_a_full_disk_is_no_fault_of_the_file_that_is_copied(tmp_path: Path) -> None:
    """An error of a copy names its source."""
    out = tmp_path / "x"
    with pytest.raises(InputError, match=rf"^cannot write {out}: File too large"), atomic_write(out):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(tmp_path / "run" / "last.pt"))


def test_a_file_of_a_folder_in_the_making_is_named_by_its_place(tmp_path: Path) -> None:
    out = tmp_path / "x"
    inner = pytest.raises(InputError, match=rf"^cannot write {out / 'a.png'}: ")
    with inner, atomic_write(out) as partial, atomic_write(partial / "a.png"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "x"
    fill(out, "old", folder=folder)
    monkeypatch.setattr(os, "fsync", full)
    message = r"cannot write .*x: No space left on device; free some space, then go on$"
    with pytest.raises(InputError, match=message), atomic_write(out, "then go on") as partial:
        fill(partial, "new", folder=folder)
    assert content(out) == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="not replaced"), atomic_write(pipe) as partial:
        fill(partial, "new", folder=True)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
