"""Tables as CSV files."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.csv_text import csv_lines, rows_of
from longtail.text_file import encode
from longtail.types import InputError

if TYPE_CHECKING:
    import pandas as pd

FLOATS = ".6f"


def write_csv(tables: "Iterable[pd.DataFrame]", out: Path) -> None:
    """Write the pieces of one table as a CSV file."""
    with out.open("wb") as file:
        for number, table in enumerate(tables):
            file.writelines(map(encode, csv_lines(rows_of(table, header=number == 0), FLOATS)))


def write_table(table: "pd.DataFrame", file: io.TextIOBase, *, header: bool) -> None:
    """Append a piece of a table to an open CSV file."""
    file.writelines(csv_lines(rows_of(table, header=header), FLOATS))


def check_free(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that exists or could not be made.

    Raises:
        InputError: see above.
    """
    if out.exists() and not out.is_file():
        raise InputError(f"{out} is not a file; choose another -o")
    if out.is_file() and not overwrite:
        raise InputError(f"{out} exists; choose another -o, or replace it with --overwrite")
    if not out.parent.is_dir():
        raise InputError(
            f"there is no folder {out.parent} to write {out.name} into; make it or choose another -o"
        )
