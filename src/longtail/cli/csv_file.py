"""Tables as CSV files that have their names only once they are whole."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from longtail.types import InputError

if TYPE_CHECKING:
    import pandas as pd


def write_csv(table: "pd.DataFrame", out: Path, *, overwrite: bool = False) -> None:
    """Write a table; the file has its name only once it is whole.

    Raises:
        InputError: the file exists and is not to be overwritten, or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    partial = out.with_name(f".{out.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            write_table(table, file, header=True)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror}; free some space or choose another -o"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def write_table(table: "pd.DataFrame", file: TextIO, *, header: bool) -> None:
    """Append a piece of a table to an open CSV file."""
    flags = {name: table[name].map({True: "true", False: "false"}) for name in table.select_dtypes("bool")}
    table = table.assign(**flags) if flags else table
    table.to_csv(file, index=False, header=header, float_format="%.6f", lineterminator="\n")


def check_free(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that exists or could not be made.

    Raises:
        InputError: see above.
    """
    if out.exists() and not out.is_file():
        raise InputError(f"{out} is not a file; choose another -o, or leave it out to print the table")
    if out.is_file() and not overwrite:
        raise InputError(f"{out} exists; choose another -o, or replace it with --overwrite")
    if not out.parent.is_dir():
        raise InputError(
            f"there is no folder {out.parent} to write {out.name} into; make it or choose another -o"
        )
