"""Tables of images: CSV or Parquet with a row an image: its path, its label and, where wanted, its part and group."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.data.listing import Source, is_text, part_of
from longtail.data.rows import Rows, source_of_rows
from longtail.types import InputError

# What each column may be called, the preferred first.
PATH = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img")
LABEL = ("label", "class", "category", "class_name", "labels")
PART = ("split", "part", "subset")
GROUP = ("group",)
DELIMITERS = (",", ";", "\t")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class _Places(Sequence[str]):
    """Where each row stands, said when it is asked for."""

    def __init__(self, file: Path, noun: str, numbers: Sequence[int]) -> None:
        self._file, self._noun, self._numbers = file, noun, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return f"{self._noun} {self._numbers[row]} of {self._file.name}"


def read_table(file: Path, root: Path | None = None) -> Source:
    """A table of images.

    CSV may be divided by commas, semicolons or tabs and be in UTF-8 or, with a byte order mark, UTF-16. Labels
    are text to the letter: 007, NA and true are class names.

    Args:
        file: with columns for path and label, and where wanted split (train, val, test) and group; see PATH,
            LABEL, PART and GROUP for what they may be called, in any case. Other columns are kept in `Listing.columns`.
        root: the folder that relative paths start from. Default: the table's own.

    Raises:
        InputError: it cannot be read, lacks a column, has a row without path, label or part, or see `source_of_rows`.
    """
    if not file.is_file():
        raise InputError(f"{file} is no file; give a CSV or Parquet file with the columns path and label")
    columns, places = _read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file)
    taken = _choose(file, list(columns))
    found = {role: columns[name] for role, name in taken.items()}
    for role, name in taken.items():
        _refuse_empty(role, name, found[role], places)
    rows = Rows(
        origin=file,
        paths=found["path"],
        labels=found["label"],
        places=places,
        parts=_parts(taken["split"], found["split"], places) if "split" in found else None,
        groups=found.get("group"),
        columns=columns,
        reading=_reading(file, taken),
    )
    return source_of_rows(rows, file.parent if root is None else root)


def _read_csv(file: Path) -> tuple[dict[str, list[str]], Sequence[str]]:
    text = _decoded(file)
    delimiter = _delimiter(text)
    lines = _lines(file, text, delimiter)
    _, header = next(lines, (1, []))
    names = [name.strip() for name in header]
    if len(set(names)) < len(names):
        raise InputError(f"{file} has two columns of one name ({', '.join(names)}); rename one of them")
    columns: list[list[str]] = [[] for _ in names]
    numbers = []
    for number, fields in lines:
        if len(fields) != len(names):
            raise InputError(
                f"line {number} of {file} has {len(fields)} values where the first line names {len(names)} columns; "
                'put a value that holds the delimiter between "'
            )
        numbers.append(number)
        for column, value in zip(columns, fields, strict=True):
            column.append(value)
    return dict(zip(names, columns, strict=True)), _Places(file, "line", numbers)


def _decoded(file: Path) -> str:
    """The text; bytes of file names that are no UTF-8 are kept as the file system keeps them."""
    try:
        data = file.read_bytes()
        encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
        return data.decode(encoding or "utf-8", "strict" if encoding == "utf-16" else "surrogateescape")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {file} as text ({reason}); save it as UTF-8") from None


def _delimiter(text: str) -> str:
    """The one by which the first line names a path and a label, else the one that divides it most."""
    first = next((line for line in text.splitlines() if line.strip()), "")[: csv.field_size_limit()]

    def fit(delimiter: str) -> tuple[int, int]:
        names = {name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])}
        return sum(bool(names & set(known)) for known in (PATH, LABEL)), len(names)

    return max(DELIMITERS, key=fit)


def _lines(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the line it begins in and values of each row that has any."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for fields in reader:
            if any(fields):
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"line {begin} of {file} is no sound CSV ({error}); save the table again") from None


def _read_parquet(file: Path) -> tuple[dict[str, list[str]], Sequence[str]]:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot read {file} as Parquet ({reason}); write it again") from None
    columns = {name: _as_text(table.column(name)) for name in table.column_names}
    for role, name in _choose(file, table.column_names).items():
        if columns[name] is None:
            raise InputError(
                f"{file}: the column {name!r}, which would be the {role}, holds {table.column(name).type}; write it "
                "as text or whole numbers"
            )
    readable = {name: values for name, values in columns.items() if values is not None}
    return readable, _Places(file, "row", range(1, table.num_rows + 1))


def _as_text(column: pa.ChunkedArray) -> list[str] | None:
    """Text and whole numbers as text, with "" for what is missing; None for a column of anything else.

    Whole numbers may be floating, with NaN for what is missing, as pandas writes those of which one is missing.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer)
    if not any(fits(kind) for fits in (*texts, pa.types.is_floating, pa.types.is_null)):
        return None
    values = column.to_pylist()
    if pa.types.is_floating(kind):
        values = [None if value is None or math.isnan(value) else value for value in values]
        if not all(value is None or value.is_integer() for value in values):
            return None
        values = [None if value is None else int(value) for value in values]
    return ["" if value is None else str(value) for value in values]


def _choose(file: Path, names: Sequence[str]) -> dict[str, str]:
    """Role -> the column that plays it."""
    lowered = {name.lower(): name for name in reversed(names)}
    roles = {"path": PATH, "label": LABEL, "split": PART, "group": GROUP}
    taken = {
        role: next((lowered[word] for word in known if word in lowered), None)
        for role, known in roles.items()
    }
    for role, known in (("path", PATH), ("label", LABEL)):
        if taken[role] is None:
            there = ", ".join(names) or "none"
            raise InputError(
                f"{file} has no column of text called {role} (columns: {there}); in the first line, name one "
                f"{' or '.join(known[:3])}"
            )
    return {role: name for role, name in taken.items() if name is not None}


def _reading(file: Path, taken: Mapping[str, str]) -> tuple[str, ...]:
    """What to say of columns that go by another name than their role's."""
    others = [f"{role} from {name!r}" for role, name in taken.items() if name != role]
    return (f"{file.name}: {', '.join(others)}",) if others else ()


def _refuse_empty(role: str, name: str, values: Sequence[str], places: Sequence[str]) -> None:
    if role == "group":
        return  # an image without a group is one of its own
    empty = [row for row, value in enumerate(values) if not value.strip()]
    if empty:
        more = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        raise InputError(f"{places[empty[0]]}{more}: no {name}; fill it in, or remove the row")
    if role == "path":
        return  # a file's name may be any bytes
    broken = next((row for row, value in enumerate(values) if not is_text(value)), None)
    if broken is not None:
        raise InputError(
            f"{places[broken]}: {name} {values[broken]!r} is no UTF-8 text; save the table as UTF-8"
        )


def _parts(name: str, values: Sequence[str], places: Sequence[str]) -> list[str]:
    parts = {value: part_of(value) for value in set(values)}
    unknown = next((row for row, value in enumerate(values) if parts[value] is None), None)
    if unknown is not None:
        raise InputError(f"{places[unknown]}: {name} is {values[unknown]!r}; write train, val or test")
    return [str(parts[value]) for value in values]
