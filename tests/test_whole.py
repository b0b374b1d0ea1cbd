"""Files and folders have their name once they are whole and on disk, and not before."""

import errno
import os
from pathlib import Path

import pytest

from longtail.types import InputError
from longtail.whole import whole


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
        with whole(out, "") as partial:
            fill(partial, text, folder=folder)
            assert not out.exists() or content(out) == "old"
        assert content(out) == text
        assert list(out.parent.iterdir()) == [out]
    with pytest.raises(KeyboardInterrupt), whole(out, "") as partial:  # noqa: PT012
        fill(partial, "half", folder=folder)
        raise KeyboardInterrupt
    assert content(out) == "new"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_is_not_taken_over(tmp_path: Path, folder: bool) -> None:
    fill(tmp_path / ".x.partial", "left", folder=not folder)
    with whole(tmp_path / "x", "") as partial:
        assert not partial.exists()
        fill(partial, "new", folder=folder)
    assert content(tmp_path / "x") == "new"


@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "x"
    fill(out, "old", folder=folder)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*x: No space left on device; buy a disk$"):  # noqa: SIM117
        with whole(out, "buy a disk") as partial:
            fill(partial, "new", folder=folder)
    assert content(out) == "old"
    assert list(tmp_path.iterdir()) == [out]
