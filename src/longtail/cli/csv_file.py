"""Predictions as a CSV file that grows piece by piece and has its name only once it is whole."""

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from longtail.types import InputError

if TYPE_CHECKING:
    import pandas as pd


def write_csv(
    tables: "Iterator[pd.DataFrame]",
    out: Path,
    *,
    overwrite: bool = False,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Write predictions as they come; the file has its name only once it is whole.

    Args:
        tables: pieces of one table.
        out: the file.
        overwrite: replace a file that exists.
        check: called before the file gets its name; what it raises leaves no file.

    Returns:
        Number of rows.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    partial = out.with_name(f".{out.name}.partial")
    first = next(tables, None)  # whatever is refused is refused before a file is made
    try:
        with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = sum(
                write_table(table, file, header=n == 0)
                for n, table in enumerate(chain([] if first is None else [first], tables))
            )
            check()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror}; free some space or choose another -o"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    return rows


def write_table(table: "pd.DataFrame", file: TextIO, *, header: bool) -> int:
    """Append a piece of a table to an open CSV file; returns its number of rows."""
    flags = {name: table[name].map({True: "true", False: "false"}) for name in table.select_dtypes("bool")}
    table = table.assign(**flags) if flags else table
    table.to_csv(file, index=False, header=header, float_format="%.6f", lineterminator="\n")
    return len(table)


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
