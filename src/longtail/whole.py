"""Files and folders that have their name once they are whole and on disk, and not before."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from longtail.types import InputError


@contextmanager
def whole(target: Path, remedy: str) -> Iterator[Path]:
    """A free place beside `target`, where the block makes a file or a folder.

    When the block ends well, what it made is brought to disk and takes the place of what `target` was; when it does
    not, it is removed and `target` untouched.

    Args:
        target: the file or folder; its parents are made.
        remedy: what to do where the file system refuses.

    Raises:
        InputError: the file system refuses (full, read-only), here or in the block.
    """
    partial, aside = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "old"))
    with writing(target, remedy):
        _remove(partial)  # what a killed process left
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            _bring_to_disk(partial)
            if partial.is_dir() and target.exists():  # a folder cannot take another's place in one step
                _remove(aside)
                target.rename(aside)
            partial.replace(target)
            _remove(aside)
        finally:
            with suppress(OSError):  # what ended the block is what is told
                _remove(partial)


@contextmanager
def writing(target: Path, remedy: str) -> Iterator[None]:
    """Say in one line that the file system refuses to have `target` written.

    Raises:
        InputError: see above.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or target
        raise InputError(f"cannot write {place}: {error.strerror or error}; {remedy}") from error


def _bring_to_disk(made: Path) -> None:
    for path in (made, *made.rglob("*")):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
