"""Tables of images: CSV or Parquet with a row an image: its path, its label and, where wanted, its split and group."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.csv_text import read_csv
from longtail.data.listing import Source, is_text, part_of
from longtail.data.options import TwoLabels
from longtail.data.parquet_set import holds_images
from longtail.data.rows import Rows, source_of_rows
from longtail.data.source_form import SourceForm
from longtail.machine import pass_on
from longtail.text_file import as_windows
from longtail.types import InputError

TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".ods")  # the last three to say what to do instead
# What each column may be called, the preferred first.
PATH = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img")
LABEL = ("label", "class", "category", "class_name", "labels")
PART = ("split", "part", "subset")
GROUP = ("group",)


class _Places(Sequence[str]):
    """Where each row stands, said when it is asked for."""

    def __init__(self, file: Path, noun: str, numbers: Sequence[int]) -> None:
        self._file, self._noun, self._numbers = file, noun, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return f"{self._noun} {self._numbers[row]} of {self._file.name}"


def read_table(file: Path, root: Path | None = None, two_labels: TwoLabels = "refuse") -> Source:
    """A table of images.

    CSV may be divided by commas, semicolons or tabs and be in UTF-8, UTF-16 or UTF-32. Labels are text to the letter:
    007, NA and true are class names; whole numbers that all end in .0 lose that. Parquet gives the same names.

    Args:
        file: with columns for path and label, and where wanted split (train, val, test) and group; see PATH,
            LABEL, PART and GROUP for what they may be called, in any case. Other columns are kept in `Listing.columns`.
        root: the folder that relative paths start from. Default: the table's own.
        two_labels: see `DataOptions`.

    Raises:
        InputError: it cannot be read, lacks a column, has a row without path, label or split, or see `source_of_rows`.
    """
    if not file.is_file():
        raise InputError(f"{file} is no file; give a CSV or Parquet file with the columns path and label")
    is_parquet = file.suffix.lower() == ".parquet"
    columns, places, remarks = _read_parquet(file) if is_parquet else _read_csv(file)
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
        grouped_by=f"the column {taken['group']} of {file.name}" if "group" in taken else None,
        reading=_reading(file, taken, remarks),
    )
    return source_of_rows(rows, file.parent if root is None else root, two_labels)


def _read_csv(file: Path) -> tuple[dict[str, list[str]], Sequence[str], list[str]]:
    table = read_csv(file, (PATH, LABEL))
    taken = _choose(file, list(table.columns))
    numbers = {taken[role]: table.whole_numbers(taken[role]) for role in ("label", "group") if role in taken}
    return table.columns | numbers, _Places(file, "line", table.lines), table.remarks


def _read_parquet(file: Path) -> tuple[dict[str, list[str]], Sequence[str], list[str]]:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        pass_on(error)
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
    path, remarks = _choose(file, list(readable))["path"], []
    for name, values in readable.items():
        if name != path and any(value.startswith(" ") for value in values):  # CSV does not quote them
            readable[name] = [value.lstrip(" ") for value in values]
            remarks.append(f"spaces that {name!r} begins with are no part of values, as in CSV")
    return readable, _Places(file, "row", range(1, table.num_rows + 1)), remarks


def _as_text(column: pa.ChunkedArray) -> list[str] | None:
    """The text that a CSV file has for the same values, "" for what is missing; None for a column of other things.

    Whole numbers may be floating, with NaN for what is missing, as pandas writes those of which one is missing.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer)
    more = (pa.types.is_boolean, pa.types.is_date, pa.types.is_floating, pa.types.is_null)
    if not any(fits(kind) for fits in (*texts, *more)):
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
            there = ", ".join(name[:80] for name in names[:20]) or "none"
            raise InputError(
                f"{file} has no column of text called {role} (columns: {there}); in the first line, name one "
                f"{' or '.join(known[:3])}"
            )
    return {role: name for role, name in taken.items() if name is not None}


def _reading(file: Path, taken: Mapping[str, str], remarks: Sequence[str]) -> tuple[str, ...]:
    """What to say of columns that go by another name than their role's, and of how the file was read."""
    others = ", ".join(f"{role} from {name!r}" for role, name in taken.items() if name != role)
    return tuple(f"{file.name}: {said}" for said in (others, *remarks) if said)


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
            f"{places[broken]}: {name} {as_windows(values[broken])!r}, as read in Windows-1252, is no UTF-8 text; save "
            "the table as UTF-8 (in Excel: CSV UTF-8)"
        )


def _parts(name: str, values: Sequence[str], places: Sequence[str]) -> list[str]:
    parts = {value: part_of(value) for value in set(values)}
    unknown = next((row for row, value in enumerate(values) if parts[value] is None), None)
    if unknown is not None:
        raise InputError(f"{places[unknown]}: {name} is {values[unknown]!r}; write train, val or test")
    return [str(parts[value]) for value in values]


def _reads(path: Path) -> bool:
    suffix = path.suffix.lower() if path.is_file() else ""
    return suffix in TABLES or (suffix == ".parquet" and not holds_images(path))


FORM = SourceForm(
    "a CSV or Parquet file with the columns path, label and, where wanted, split and group: --data FILE",
    lambda place: read_table(place.given, place.root, place.two_labels),
    reads=_reads,
    rank=2,
    takes_root=True,
)
