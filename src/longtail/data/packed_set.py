"""A packed set: the images of each split as raw pixels in one file, with an index; what `longtail data pack` makes.

```text
packed.json          format, version, short_side, source, is_flat, bits (as how many images of 16 were read); of each
                     part classes, images, bytes, unreadable
train.pixels         images one after the other, each height x width x 3 bytes: rows of RGB pixels
train.index.parquet  a row an image: id (bytes), label (position in classes), offset, height, width, checksum; group
                     (bytes) where the set has groups; content (uint64), the hash of the image it was made of
```
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from numpy.typing import NDArray
from pydantic import Field, field_validator

from longtail.choices import Bits
from longtail.data.listing import Listing, Source
from longtail.data.stored import StoredPixels
from longtail.machine import pass_on
from longtail.records import Record, check_record, parse_json, read_bytes, refuse_newer, short, unique
from longtail.runs import layout
from longtail.types import InputError

MANIFEST = layout.PACKED
FORMAT, VERSION = "longtail-packed", 1
AGAIN = "pack it again"
MOST = 2**30  # bytes of packed.json, which names every unreadable image
MOST_SIDE = 2**20  # of an image, in pixels
NUMBERS = ("label", "offset", "height", "width", "checksum")


class PackedPart(Record):
    """A split in packed.json; `unreadable` has the id and the reason of each image that was left out."""

    classes: Annotated[list[str], Field(min_length=1)]
    images: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    unreadable: list[Annotated[list[str], Field(min_length=2, max_length=2)]]

    @field_validator("classes")
    @classmethod
    def _are_different(cls, names: list[str]) -> list[str]:
        unique(names, "class")
        return names


class Manifest(Record):
    """packed.json."""

    format: Literal["longtail-packed"]
    version: Annotated[int, Field(ge=1)] = 1
    is_flat: bool
    bits: Bits | None = None
    parts: Annotated[dict[Literal["train", "val", "test"], PackedPart], Field(min_length=1)]


def is_packed(path: Path) -> bool:
    """Whether a folder holds a packed set."""
    return (path / MANIFEST).is_file()


def read_packed(root: Path) -> Source:
    """List a packed set. Its images were sound when they were written, so none is decoded to find out.

    Args:
        root: the folder.

    Raises:
        InputError: it is no packed set, of another version, or damaged.
    """
    if not is_packed(root):
        raise InputError(f"{root} has no {MANIFEST}; make a packed set with: longtail data pack PATH -o DIR")
    file = root / MANIFEST
    content = parse_json(read_bytes(file, AGAIN, most=MOST), str(file), AGAIN, most=MOST, file_names=True)
    refuse_newer(content, VERSION, f"the packed set {root}", "version")
    manifest = check_record(content, Manifest, str(file), AGAIN)
    try:
        parts = {name: _read_part(root, name, part) for name, part in manifest.parts.items()}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        pass_on(error)
        raise InputError(f"{root} is no sound packed set ({short(error, 200)}); {AGAIN}") from None
    left_out = sum(len(part.unreadable) for part in manifest.parts.values())
    said = f"{left_out} unreadable when the set was packed, named in {root / MANIFEST}"
    return Source(
        parts.get("train"), parts.get("val"), parts.get("test"),
        is_flat=manifest.is_flat, bits=manifest.bits, remarks=(said,) if left_out else (),
    )  # fmt: skip


def write_part(
    root: Path,
    name: str,
    class_names: Sequence[str],
    images: Iterable[tuple[str, int, UInt8[np.ndarray, "h w 3"], int]],
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write the pixels and the index of one split; one image at a time is in memory.

    Args:
        root: the folder, which exists.
        name: "train", "val" or "test".
        class_names: C names.
        images: id, label in [0, C) and pixels of each, and `content_number` of what it was made of.
        groups: id -> group; None where there are none.

    Returns:
        The split's entry for the manifest, without the unreadable images.
    """
    ids: list[bytes] = []
    rows: list[tuple[int, ...]] = []
    contents: list[int] = []
    end = 0
    with (root / f"{name}.pixels").open("wb") as file:
        for identity, label, pixels, content in images:
            data = np.ascontiguousarray(pixels).data.cast("B")
            ids.append(os.fsencode(identity))
            contents.append(content)
            rows.append((label, end, *pixels.shape[:2], zlib.crc32(data)))
            end += file.write(data)
        _to_disk(file)
    columns = np.array(rows, dtype=np.int64).reshape(-1, len(NUMBERS))
    table = {"id": pa.array(ids, pa.binary())} | {n: columns[:, i] for i, n in enumerate(NUMBERS)}
    table["content"] = pa.array(contents, pa.uint64())
    if groups is not None:
        table["group"] = pa.array([os.fsencode(groups[os.fsdecode(one)]) for one in ids], pa.binary())
    with (root / f"{name}.index.parquet").open("wb") as file:
        pq.write_table(pa.table(table), file, write_page_checksum=True)
        _to_disk(file)
    return {"classes": list(class_names), "images": len(ids), "bytes": end}


def write_manifest(root: Path, parts: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
    """Write packed.json.

    Args:
        root: the folder, with the splits' files.
        parts: name -> entry from `write_part`, with `unreadable`.
        more: short_side, source, is_flat, and bits where some were images of 16 bits.
    """
    content = {"format": FORMAT, "version": VERSION, **more, "parts": parts}
    with (root / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)  # in ASCII: file names need not be valid Unicode
        _to_disk(file)


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _read_part(root: Path, name: str, part: PackedPart) -> Listing:
    pixels = root / f"{name}.pixels"
    table = pq.read_table(root / f"{name}.index.parquet", page_checksum_verification=True)
    columns = {column: _numbers(table, column) for column in NUMBERS}
    ids = _names(table, "id")
    found, wanted = (pixels.stat().st_size, len(ids)), (part.bytes, part.images)
    if found != wanted:
        raise ValueError(f"{pixels.name} and its index have {found} bytes and images, not {wanted}")
    _check_places(pixels, part, columns)
    places = [columns[column] for column in ("offset", "height", "width", "checksum")]
    seen = bytearray(len(ids))

    def at(row: int) -> StoredPixels:
        offset, height, width, checksum = (int(column[row]) for column in places)
        return StoredPixels(pixels, offset, height, width, checksum, ids[row], row, seen)

    def fetch(rows: NDArray[np.int64]) -> Iterator[StoredPixels]:
        return map(at, rows.tolist())

    sizes = np.stack([columns["height"], columns["width"]], axis=1)
    groups = _names(table, "group") if "group" in table.column_names else None
    contents = table.column("content").to_numpy() if "content" in table.column_names else None
    return Listing(tuple(part.classes), columns["label"], ids, fetch, at, sizes, groups, contents=contents)


def _numbers(table: pa.Table, column: str) -> NDArray[np.int64]:
    found = table.column(column)
    if not pa.types.is_int64(found.type) or found.null_count:
        raise ValueError(f"{column} should be whole numbers")
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _names(table: pa.Table, column: str) -> tuple[str, ...]:
    found = table.column(column)
    if not pa.types.is_binary(found.type) or found.null_count:
        raise ValueError(f"{column} should be names")
    return tuple(os.fsdecode(name) for name in found.to_pylist())


def _check_places(pixels: Path, part: PackedPart, columns: Mapping[str, NDArray[np.int64]]) -> None:
    """Refuse labels of no class, and images that do not lie one after the other in the file."""
    label, height, width = (columns[column] for column in ("label", "height", "width"))
    if ((label < 0) | (label >= len(part.classes))).any():
        raise ValueError(f"its index of {pixels.name} has labels outside 0..{len(part.classes) - 1}")
    sides = np.stack([height, width])
    if (sides < 1).any() or (sides > MOST_SIDE).any():
        raise ValueError(f"its index of {pixels.name} has sides outside 1..{MOST_SIDE:,} pixels")
    ends = np.cumsum(3 * height * width)
    if not np.array_equal(columns["offset"], ends - 3 * height * width) or ends[-1:].sum() != part.bytes:
        raise ValueError(f"its index of {pixels.name} has images that do not follow each other")
