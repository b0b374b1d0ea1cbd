"""Tables as CSV files."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.types import InputError

if TYPE_CHECKING:
    import pandas as pd


def write_csv(tables: "Iterable[pd.DataFrame]", out: Path) -> None:
    """Write the pieces of one table as a CSV file."""
    with out.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        for number, table in enumerate(tables):
            write_table(table, file, header=number == 0)


def write_table(table: "pd.DataFrame", file: io.TextIOBase, *, header: bool) -> None:
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
