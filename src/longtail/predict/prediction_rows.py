"""Rows of predictions: the types of their columns, as JSON and in a finished file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.csv_text import write_tables

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("confidence", "agreement")
_CELLS = {None: str | None, "bool": bool | None, "float32": int | float | None, "int64": int}  # types in JSON


def json_rows(table: "pd.DataFrame") -> list[list[Any]]:
    """The rows of a table, with None where there is nothing."""
    filled = table.astype(object).where(table.notna(), None)
    return [list(row) for row in zip(*(filled[name] for name in table.columns), strict=True)]


def table_of(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> "pd.DataFrame":
    """The table of such rows."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=columns, dtype=object)  # for names that are no Unicode
    return table.astype({name: kind for name in columns if (kind := _kind(name))})


def is_empty(row: Sequence[Any]) -> bool:
    """Whether it is the row of an image that could not be read."""
    return row[1] is None  # a label that was withheld is ""


def check_row(row: Sequence[Any], columns: Sequence[str]) -> None:
    """Raises TypeError or ValueError where it is no row of these columns, of which all but the first may be empty."""
    kinds = [_CELLS[_kind(name)] for name in columns]
    if not isinstance(row[0], str) or not all(map(isinstance, row, kinds)) or len(row) != len(kinds):
        raise TypeError("no row")


def write_predictions(tables: Iterator["pd.DataFrame"], place: Path, *, parquet: bool) -> None:
    """Write the pieces of a table of predictions as a Parquet or CSV file."""
    (_write_parquet if parquet else write_tables)(tables, place)


def _write_parquet(tables: Iterator["pd.DataFrame"], out: Path) -> None:
    """One row group a piece; bytes of a name that are no Unicode are written out, for Parquet has no others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_(), None: pa.string()}
    with out.open("wb") as file:
        writer = None
        for table in tables:
            table["path"] = [path.encode("utf-8", "backslashreplace").decode() for path in table["path"]]
            schema = pa.schema([(name, kinds[_kind(name)]) for name in table.columns])
            writer = writer or pq.ParquetWriter(file, schema)
            writer.write_table(pa.Table.from_pandas(table, schema, preserve_index=False))
        if writer:
            writer.close()


def _kind(column: str) -> str | None:
    """The type of a column that is no text."""
    if column == "views":
        return "int64"
    return "bool" if column == "abstained" else "float32" if column.startswith(NUMBERS) else None
