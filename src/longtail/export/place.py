"""Where an exported model goes: whole or not at all, and never over something unless asked."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longtail.predict.stored import is_pretrained
from longtail.types import InputError


def check_free(out: Path, *, overwrite: bool, folder: bool = False) -> None:
    """Refuse a place that holds something, or where nothing can be made.

    Args:
        out: the file, or the folder.
        overwrite: replace a file, or a folder that an earlier export made.
        folder: whether a folder is to be made.

    Raises:
        InputError: see above.
    """
    if out.is_dir() and not folder:
        raise InputError(f"{out} is a folder; name a file with -o")
    if out.is_file() and folder:
        raise InputError(f"{out} is a file; name a folder with -o")
    if folder and out.is_dir() and not any(out.iterdir()):
        return
    if folder and out.is_dir() and overwrite and not is_pretrained(out):
        raise InputError(f"{out} holds something else than an exported model; choose another -o")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another -o, or replace it with --overwrite")


@contextmanager
def whole(out: Path, *, folder: bool = False) -> Iterator[Path]:
    """A place beside `out` that takes its name when the block ends well, and is removed when it does not."""
    partial = out.with_name(f".{out.name}.partial")
    remove(partial)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            partial.mkdir()
        yield partial
        if folder:
            remove(out)
        partial.replace(out)
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror or error}; free some space, mend the permissions or choose another -o"
        ) from None
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
