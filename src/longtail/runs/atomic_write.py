"""Files and folders that have their name once they are complete and on disk, and not before."""

import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from longtail.errors import InputError
from longtail.machine import WRITTEN, cure_of
from longtail.runs.locks import HeldError, locked

PARTIAL = ".partial"
LOCK, OLD = ".lock", ".old"
TRIES = 20  # to take a place that other processes take at the same moment


def check_free(
    out: Path, *, overwrite: bool = False, other: str = "another -o", again: str = "--overwrite"
) -> None:
    """Refuse a file that exists or could not be made.

    Args:
        out: the file.
        overwrite: whether it may exist.
        other, again: how the caller names another place, and asks for `overwrite`.

    Raises:
        InputError: see above.
    """
    if out.exists() and not out.is_file():
        raise InputError(f"{out} is not a file; choose {other}")
    if out.is_file() and not overwrite:
        raise InputError(f"{out} exists; choose {other}, or replace it with {again}")
    if not out.parent.is_dir():
        raise InputError(
            f"there is no folder {out.parent} to write {out.name} into; make it or choose {other}"
        )


@contextmanager
def atomic_write(target: Path, again: str = "then repeat the command") -> Iterator[Path]:
    """A free place of this process alone, where the block makes a file or a folder.

    When the block ends well, what it made is brought to disk and takes the place of what `target` was; when it does
    not, it is removed and `target` untouched. The place lies in a hidden folder beside `target`; what a killed process
    left of one is removed by the next that writes the same target.

    Args:
        target: the file or folder; its parents are made.
        again: what to do once the cause is removed.

    Raises:
        InputError: the file system refuses (full, read-only), here or in the block, or `target` is a device.
    """
    with writing(target, again):
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise InputError(
                f"{target} is a device, pipe or socket and is not replaced; choose another place"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(target)
        with _own_folder(target) as own:
            made = own / target.name
            yield made
            _bring_to_disk(made)
            _take_place(made, target, own / OLD)


@contextmanager
def writing(target: Path, again: str = "then repeat the command") -> Iterator[None]:
    """Say in one line that the file system refuses to have `target` written, and what to do about the cause.

    An error that names a file elsewhere, such as one that is read meanwhile, is left as it is.

    Raises:
        InputError: see above.
    """
    try:
        yield
    except OSError as error:
        place = _place(error, target)
        if place is None:
            raise
        cure = cure_of(error)
        raise InputError(f"cannot write {place}: {error.strerror or error}; {cure}, {again}") from error


def is_left_over(name: str) -> bool:
    """Whether a file or folder of this name is what a killed process left of writing another."""
    return name.startswith(".") and name.endswith(PARTIAL)


def _place(error: OSError, target: Path) -> Path | None:
    """What could not be written; None where the error is about something else."""
    shown = Path(
        *(part for part in target.parts if not is_left_over(part))
    )  # a file of a folder in the making
    if not isinstance(error.filename, str | bytes) or not error.filename or error.errno in WRITTEN:
        return shown
    named = Path(os.fsdecode(error.filename))
    if any(is_left_over(folder.name) for folder in (named, *named.parents)):
        return shown
    here, there = named.absolute(), target.absolute()
    return named if here.parent == there.parent or there.is_relative_to(here) else None


@contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """A new hidden folder beside `target`, locked by this process and removed in the end."""
    for _ in range(TRIES):
        own = target.with_name(_hidden(target, secrets.token_hex(4)))
        with ExitStack() as held:
            try:
                own.mkdir()
                held.callback(_remove_folder, own)
                held.enter_context(locked(own / LOCK, f"{own} is in use"))
            except (
                FileExistsError,
                FileNotFoundError,
                HeldError,
            ):  # another process tidied up before it was locked
                continue
            held.callback(_empty, own)
            yield own
            return
    raise InputError(f"cannot keep a folder beside {target}: it is removed at once; choose another place")


def _take_place(made: Path, target: Path, aside: Path) -> None:
    """Put what was made in the place of `target`."""
    for left in reversed(range(TRIES)):
        with suppress(FileNotFoundError):
            if made.is_dir() and target.is_dir():  # a folder cannot take another's place in one step
                _remove(aside)
                target.rename(aside)
        try:
            made.replace(target)
            return
        except OSError as error:  # another process, writing the same folder, was faster
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not left:
                raise


def _remove_left(target: Path) -> None:
    """Remove what killed processes left of writing `target`; a folder that they had moved aside is put back."""
    pattern = glob.escape(_hidden(target, "*")).replace("[*]", "[0-9a-f]" * 8)
    for left in target.parent.glob(pattern):
        with suppress(OSError, HeldError):
            with locked(left / LOCK, f"{left} is in use"):
                if (left / OLD).exists() and not target.exists():
                    (left / OLD).rename(target)
                _empty(left)
            _remove_folder(left)


def _hidden(target: Path, token: str) -> str:
    """The name of a folder in which `target` is made."""
    name = target.name
    if len(os.fsencode(name)) > 200:  # the file system takes 255 bytes
        name = blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return f".{name}.{token}{PARTIAL}"


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


def _empty(own: Path) -> None:
    """Remove what lies in a folder beside its lock, as far as it can be: what ended the block before matters more."""
    with suppress(OSError):
        for inside in own.iterdir():
            if inside.name != LOCK:
                _remove(inside)


def _remove_folder(own: Path) -> None:
    with suppress(OSError):
        own.rmdir()
