"""Parquet files in the layout of the Hugging Face hub: encoded images and labels in columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.data.dataset import counted
from longtail.data.listing import Listing, Source
from longtail.data.rows import ordered
from longtail.data.shards import alone, check_shards, others_beside, parquet_files
from longtail.machine import pass_on
from longtail.records import parse_json
from longtail.types import InputError

LABEL_COLUMNS = ("label", "fine_label", "labels")
IMAGE_COLUMNS = ("img", "image")


def read_parquet(path: Path, label_columns: Sequence[str] = LABEL_COLUMNS) -> Source:
    """A folder with `train-*.parquet` and `test-*.parquet` (also under `data/`), or one file to train on.

    Images are bytes (PNG, WebP, JPEG, ...), alone or as a struct {bytes, path}. Labels are strings, or
    integers named by the ClassLabel feature in the schema's `huggingface` metadata. Rows may be sorted by
    class. All chosen images are held in memory.

    Args:
        path: folder or file.
        label_columns: names of the label column, the preferred first.

    Raises:
        InputError: no such file, a shard that is missing or there twice, no image column, no labels, a file without one
            of the columns, a label that is missing, no whole number, or without a name.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder with train-*.parquet and test-*.parquet")
    files = parquet_files(path)
    if not files:
        raise InputError(f"no Parquet files in {path}; expected train-*.parquet and test-*.parquet")
    if not path.is_file():
        check_shards(files)
    parts = {split: _read_part(split, found, label_columns) for split, found in files.items()}
    return Source(
        parts.get("train"), parts.get("val"), parts.get("test"), is_flat=path.is_file(),
        remarks=tuple(alone(path)) if path.is_file() else (),
        left_out=() if path.is_file() else others_beside(path, files),
    )  # fmt: skip


def holds_images(file: Path) -> bool:
    """Whether a Parquet file has a column of encoded images."""
    return any(_holds_bytes(field.type) for field in _open(file).schema_arrow)


def _read_part(split: str, files: list[Path], label_columns: Sequence[str]) -> Listing:
    schema = _open(files[0]).schema_arrow
    features = _features(schema)
    image = _image_column(files[0], schema, features)
    label = _label_column(files[0], schema, features, label_columns)
    values = [value for file in files for value in _read_labels(file, image, label)]
    names = _names(files, label)
    class_names, targets = _encode_labels(files[0], label, values, names)
    ids = tuple(f"{split}/{row}" for row in range(len(values)))
    return Listing(class_names, targets, ids, lambda rows: _read_rows(files, image, rows))


def _read_labels(file: Path, image: str, label: str) -> list[Any]:
    opened = _open(file)
    columns = opened.schema_arrow.names
    for name in (image, label):
        if (number := columns.count(name)) != 1:
            raise InputError(
                f"{number or 'no'} columns `{name}` in {file} (columns: {', '.join(columns)}); every file of a split "
                "needs one"
            )
    kind = opened.schema_arrow.field(label).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_text(kind)):
        raise InputError(f"`{label}` in {file} holds {kind}; labels are whole numbers or names")
    with _reading(file):
        values = opened.read([label]).column(0).to_pylist()
    missing = sum(value is None for value in values)
    if missing:
        raise InputError(
            f"{file} has {counted(missing, 'row')} without `{label}`; remove or label what has none"
        )
    broken = [value for value in values if isinstance(value, float) and not value.is_integer()]
    if broken:
        raise InputError(
            f"{len(broken)} rows of {file} have a `{label}` that is no whole number, such as {broken[0]}; "
            "give whole numbers or names"
        )
    return [int(value) if isinstance(value, float) else value for value in values]


def _open(file: Path) -> pq.ParquetFile:
    with _reading(file):
        return pq.ParquetFile(file)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Refuse what is damaged."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        pass_on(error)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot read {file} as Parquet ({reason}); write it again") from None


def _features(schema: pa.Schema) -> dict[str, Any]:
    metadata = (schema.metadata or {}).get(b"huggingface")
    try:
        features = parse_json(metadata or b"{}", "the metadata", "write it again")["info"]["features"]
    except (ValueError, KeyError, TypeError):  # nothing said of the columns, or in another form
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _names(files: list[Path], label: str) -> list[str] | None:
    """The class names that the files carry for their labels; None where they carry none."""
    found = [_features(_open(file).schema_arrow).get(label, {}).get("names") for file in files]
    other = next((file for file, names in zip(files, found, strict=True) if names != found[0]), None)
    if other is not None:
        raise InputError(
            f"{files[0]} and {other} give different names to the numbers in `{label}`; write them alike"
        )
    names: list[str] | None = found[0]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"the names of `{label}` in the metadata of {files[0]} are no texts; write it again")
    return names


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _image_column(file: Path, schema: pa.Schema, features: dict[str, Any]) -> str:
    marked = [name for name, feature in features.items() if feature.get("_type") == "Image"]
    holding = [field.name for field in schema if _holds_bytes(field.type)]
    for name in (*marked, *IMAGE_COLUMNS, *holding):
        if name in holding:
            return str(name)
    columns = ", ".join(schema.names)
    raise InputError(
        f"no image column in {file} (columns: {columns}); expected bytes in `img` or `image`, or "
        "paths in one file, given by its own name"
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_bytes(kind.field(index).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _label_column(file: Path, schema: pa.Schema, features: dict[str, Any], preferred: Sequence[str]) -> str:
    marked = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    for name in (*preferred, *marked):
        if name in schema.names:
            return name
    columns = ", ".join(schema.names)
    raise InputError(f"no labels in {file} (columns: {columns}); expected a column `{preferred[0]}`")


def _encode_labels(
    file: Path, label: str, values: list[Any], names: list[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    kinds = {isinstance(value, str) for value in values}
    if len(kinds) > 1:
        raise InputError(
            f"some files beside {file} have numbers and some have names in `{label}`; write them alike"
        )
    if names is not None and True in kinds:
        raise InputError(
            f"`{label}` in {file} holds names though its metadata expects numbers; leave one out"
        )
    if names is None:
        labels = [str(value) for value in values]
        distinct = ordered(labels)
        position = {name: c for c, name in enumerate(distinct)}
        return distinct, np.array([position[name] for name in labels], dtype=np.int64)
    wrong = [value for value in values if not 0 <= value < len(names)]
    if wrong:
        raise InputError(
            f"{len(wrong)} rows of {file} have a `{label}` outside 0..{len(names) - 1}, such as {wrong[0]}; "
            "remove or repair them"
        )
    return tuple(names), np.array(values, dtype=np.int64)


def _read_rows(files: list[Path], column: str, rows: NDArray[np.int64]) -> Iterator[bytes]:
    start = 0
    for file in files:
        opened = _open(file)
        for group in range(opened.num_row_groups):
            stop = start + opened.metadata.row_group(group).num_rows
            chosen = rows[(rows >= start) & (rows < stop)] - start
            start = stop
            if len(chosen):
                with _reading(file):
                    values = (
                        opened.read_row_group(group, [column]).column(0).take(pa.array(chosen)).to_pylist()
                    )
                yield from (_bytes(value) for value in values)


def _bytes(value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else b""
