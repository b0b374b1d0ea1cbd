"""Where an exported model goes: never over something unless asked."""

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
    if out.name in ("", ".."):
        raise InputError(f"{out} has no name of its own; name a new file or folder with -o")
    if out.exists() and not (out.is_file() or out.is_dir()):
        raise InputError(f"{out} is a device, pipe or socket; choose another -o")
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
