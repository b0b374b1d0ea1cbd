"""The one writer and the one reader of CSV: whatever text is written is read back to the letter."""

import csv
import io
import math
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from longtail.errors import InputError
from longtail.machine import pass_on
from longtail.text_file import decode, encode, encoding_of

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
DELIMITERS = (",", ";", "\t")
FLOATS = ".6f"
_QUOTED = re.compile(r'[",\r\n]|^ |^-?[0-9]+\.0$')
_SPREADSHEET = re.compile(r'"?sep=([,;\t|])"?\r?\n?\Z', re.IGNORECASE)
_WHOLE = re.compile(r"-?[0-9]+\.0")
_LONGEST = min(sys.maxsize, 2**31 - 1)  # characters of a value


def csv_lines(rows: Iterable[Sequence[object]], floats: str = "") -> Iterator[str]:
    r"""The lines of a table, each with its \n.

    Args:
        rows: text, numbers, True and False, and None or nan for what is missing.
        floats: format of floating numbers, such as ".6f".

    >>> list(csv_lines([("class", "n"), ("a, b", 1), ("a\rb", 0.5), (" x", None), ("1.0", 1.0)]))
    ['class,n\n', '"a, b",1\n', '"a\rb",0.5\n', '" x",\n', '"1.0",1.0\n']
    """
    for row in rows:
        line = ",".join(_cell(value, floats) for value in row)
        yield (line or '""') + "\n"


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    return "".join(csv_lines(rows))


def rows_of(table: "pd.DataFrame", *, header: bool = True) -> Iterator[Sequence[object]]:
    """The rows of a table of pandas, for `csv_lines`."""
    if header:
        yield [str(name) for name in table.columns]
    yield from zip(*(table[name].tolist() for name in table.columns), strict=True)


def write_tables(tables: "Iterable[pd.DataFrame]", out: Path) -> None:
    """Write the pieces of one table of pandas as a CSV file."""
    with out.open("wb") as file:
        for number, table in enumerate(tables):
            file.writelines(map(encode, table_lines(table, header=number == 0)))


def table_lines(table: "pd.DataFrame", *, header: bool) -> Iterator[str]:
    """The lines of a piece of a table; floating numbers have six decimals."""
    return csv_lines(rows_of(table, header=header), FLOATS)


def _cell(value: object, floats: str) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, floats) if isinstance(value, float) else str(value)


class CsvTable(NamedTuple):
    """A table as read; everything is text.

    Attributes:
        columns: name -> N values.
        lines: N numbers of the lines that the rows begin in, from 1.
        remarks: how it was read, where that was a choice.
        quotes_numbers: a value of the form 1.0 is quoted, which makes it text.
    """

    columns: dict[str, list[str]]
    lines: list[int]
    remarks: list[str]
    quotes_numbers: bool

    def whole_numbers(self, name: str) -> list[str]:
        """A column without .0 where that ends all its values: whole numbers that were held as floating ones."""
        values = self.columns[name]
        if (
            self.quotes_numbers
            or not any(values)
            or not all(_WHOLE.fullmatch(value or "0.0") for value in values)
        ):
            return values
        self.remarks.append(f"the whole numbers of {name!r} without their .0")
        return [value.removesuffix(".0") for value in values]


def read_csv(file: Path, known: Sequence[Collection[str]] = ()) -> CsvTable:
    """The table in a file.

    Values are divided by commas, semicolons or tabs. Spaces after these are no part of a value unless it is quoted.

    Args:
        file: text, see `text_file.decode`. A first line `sep=;` and, with `known`, lines of # before the header
            are skipped; rows without any value as well.
        known: the names, in small letters, that each wanted column may have; they decide between delimiters.

    Raises:
        InputError: it cannot be read or is no CSV, two columns have one name, or a row has another number of values.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        pass_on(error)
        raise InputError(f"cannot read {file}: {error.strerror}; give a CSV file") from None
    return parse_csv(decode(data, str(file)), file, known, _encoding_remarks(data))


def parse_csv(
    text: str, file: Path, known: Sequence[Collection[str]] = (), remarks: Iterable[str] = ()
) -> CsvTable:
    """The table in a text; see `read_csv`."""
    said = list(remarks)
    start, delimiter = _start(text, known, said)
    body = text[start:]
    spaced = _spaces_follow(body, delimiter)
    if spaced:
        said.append(f"spaces after {_NAMES[delimiter]} are no part of values")
    rows = _rows(file, body, delimiter, text.count("\n", 0, start) + 1, spaced=spaced)
    _, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    while names and not names[-1]:
        names.pop()
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise InputError(f"{file} has two columns of one name ({', '.join(names)}); rename one of them")
    columns: list[list[str]] = [[] for _ in names]
    lines = []
    for number, fields in rows:
        _check_width(file, number, fields, names)
        lines.append(number)
        for column, value in zip(columns, fields, strict=False):
            column.append(value)
    found = {name: column for name, column in zip(names, columns, strict=True) if name}
    return CsvTable(found, lines, said, re.search(r'"-?[0-9]+\.0"', body) is not None)


def _encoding_remarks(data: bytes) -> list[str]:
    encoding = encoding_of(data)
    return (
        [f"read as {encoding[:6].upper()}, which has no byte order mark"]
        if encoding[-3:] in ("-le", "-be")
        else []
    )


def _start(text: str, known: Sequence[Collection[str]], said: list[str]) -> tuple[int, str]:
    """Where the header begins, and what divides it."""
    start, forced, comments = 0, None, 0
    while start < len(text):
        stop = text.find("\n", start) + 1 or len(text)
        line = text[start:stop]
        sheet = _SPREADSHEET.match(line)
        is_comment = bool(known) and line.startswith("#") and _fit(line, known)[0] == 0
        if sheet is not None and forced is None:
            forced = sheet[1]
        elif is_comment:
            comments += 1
        elif line.strip():
            if comments:
                said.append(f"{comments} line{'s' * (comments > 1)} of # before the header skipped")
            return start, forced or _fit(line, known)[2]
        start = stop
    return start, forced or ","


def _fit(line: str, known: Sequence[Collection[str]]) -> tuple[int, int, str]:
    """The delimiter by which a header names most of what is known, after how much that is and its number of names."""
    found = []
    for preference, delimiter in enumerate(DELIMITERS):
        with _long_values():
            fields = next(
                csv.reader([re.split("[\r\n]", line)[0]], delimiter=delimiter, skipinitialspace=True), []
            )
        names = {name.strip().lower() for name in fields}
        found.append((sum(bool(names & set(some)) for some in known), len(names), -preference))
    best = max(found)
    return best[0], best[1], DELIMITERS[-best[2]]


def _rows(
    file: Path, text: str, delimiter: str, first: int, *, spaced: bool
) -> Iterator[tuple[int, list[str]]]:
    """Number of the line it begins in and values of each row that has any."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=spaced, strict=True
    )
    begin = first
    with _long_values():
        try:
            for fields in reader:
                if any(fields):
                    yield begin, fields
                begin = first + reader.line_num
        except csv.Error as error:
            raise InputError(
                f"line {begin} of {file} is no sound CSV ({error}); save the table again"
            ) from None


@contextmanager
def _long_values() -> Iterator[None]:
    """The module csv refuses values of more than 131,072 characters otherwise, such as masks and embeddings."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_width(file: Path, number: int, fields: list[str], names: Sequence[str]) -> None:
    if len(fields) < len(names) or any(fields[len(names) :]):
        cure = 'put a value that holds the delimiter between "'
        if len(names) == 1:
            cure = "divide values by a comma, a semicolon or a tab, in the first line too"
        raise InputError(
            f"line {number} of {file} has {len(fields)} values where the first line names {len(names)} columns; {cure}"
        )


def _spaces_follow(text: str, delimiter: str) -> bool:
    """Whether a delimiter outside quotes has a space behind it."""
    pair = f"{delimiter} "
    return pair in text and pair in re.sub(r'"[^"]*"', '""', text)
