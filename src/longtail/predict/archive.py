"""torch's own form of an exported file (.pt2), read as data: a description, arrays of numbers, and a list of operators.

`torch.export.load` unpickles where an archive asks for it, calls whatever a graph names, evaluates expressions and runs
code that it writes itself, so it is not used here. What `longtail export` does not write is refused.
"""

import re
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from math import prod
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from longtail.predict.graph import DTYPES, Graph, Program, TensorMeta, UnsafeFileError
from longtail.records import Record, check_record, parse_json, parse_record

FACTS = "longtail.json"
MODEL, EXAMPLE, DESCRIPTION = "models/model.json", "data/sample_inputs/model.pt", f"extra/{FACTS}"
PARTS = ("weights", "constants")
CONFIG = {part: f"data/{part}/model_{part}_config.json" for part in PARTS}
NAMES = {
    MODEL, EXAMPLE, DESCRIPTION, *CONFIG.values(), "archive_format", "archive_version", "byteorder", "version",
    ".data/version", ".data/serialization_id", ".format_version", ".storage_alignment",
}  # fmt: skip
PLAIN = re.compile(r"[\w.]*")
EXPRESSION = re.compile(  # which tries no text in more than one way
    r"(?:(?:Mul|Add|Integer|Symbol|positive|integer|True)\b|'s[0-9]++'|-?[0-9]++|[(),= ])*+"
)
FREE = {"in_spec", "out_spec", "torch_version", "guards_code"}
"""Texts that nobody looks at here."""
ARRAY = re.compile(r"data/(weights/weight|constants/tensor)_[0-9]{1,9}")
AGAIN = "export the run again"


class Payload(Record):
    """Where the numbers of a tensor lie."""

    path_name: str
    use_pickle: bool
    tensor_meta: TensorMeta | None


class Payloads(Record):
    """The tensors of one folder of the archive."""

    config: Annotated[dict[str, Payload], Field(max_length=10**6)]


class Archive(zipfile.ZipFile):
    """The entries of an archive by their names within it, none of them compressed.

    Raises:
        UnsafeFileError: it holds something else than `longtail export` writes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        roots = {entry.filename.partition("/")[0] for entry in self.infolist()}
        self.entries = {entry.filename.partition("/")[2]: entry for entry in self.infolist()}
        strange = sorted(name for name in self.entries if name not in NAMES and not ARRAY.fullmatch(name))
        if strange:
            raise UnsafeFileError(f"it holds {strange[0][:80]!r}")
        if len(self.entries) < len(self.infolist()) or len(roots) > 1:
            raise UnsafeFileError("it holds an entry twice")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in self.infolist()):
            raise UnsafeFileError("an entry is compressed")
        if sum(entry.file_size for entry in self.infolist()) > path.stat().st_size:
            raise UnsafeFileError("its entries lie over each other")
        if EXAMPLE in self.entries and self.entries[EXAMPLE].file_size:
            raise UnsafeFileError("it holds a pickled example")
        if self.content("byteorder") != sys.byteorder.encode():
            raise ValueError("it was written by a machine of another byte order")

    def content(self, name: str) -> bytes:
        """An entry.

        Raises:
            ValueError: there is none.
        """
        if name not in self.entries:
            raise ValueError(f"it has no {name}")
        return self.read(self.entries[name])


def read_archive(path: Path) -> tuple[str, Graph]:
    """The description and the graph in an archive.

    Raises:
        UnsafeFileError: it holds something that `longtail export` does not write.
        Exception: whatever zipfile raises of a damaged file.
    """
    with Archive(path) as archive:
        tensors = {name: tensor for part in PARTS for name, tensor in _tensors(archive, part).items()}
        found = parse_json(archive.content(MODEL), f"{path}, {MODEL},", AGAIN)
        for key, text in _texts(found):
            if key not in FREE and not (EXPRESSION if key == "expr_str" else PLAIN).fullmatch(text):
                raise UnsafeFileError(f"its graph holds {text[:60]!r}")
        program = check_record(found, Program, f"{path}, {MODEL},", AGAIN)
        return archive.content(DESCRIPTION).decode(), Graph(program.graph_module, tensors)


def _tensors(archive: Archive, part: str) -> dict[str, Tensor]:
    name = CONFIG[part]
    found = parse_record(archive.content(name), Payloads, f"{archive.filename}, {name},", AGAIN).config
    if any(payload.use_pickle for payload in found.values()):
        raise UnsafeFileError(f"its {part} are pickled")
    numbers = cache(lambda file, dtype: _numbers(archive.content(f"data/{part}/{file}"), dtype))
    metas = {name: TensorMeta.model_validate(one.tensor_meta) for name, one in found.items()}
    return {name: _view(numbers(found[name].path_name, meta.dtype), meta) for name, meta in metas.items()}


def _numbers(content: bytes, dtype: int) -> Tensor:
    kind = DTYPES[dtype]
    found = torch.frombuffer(bytearray(content), dtype=kind) if content else torch.empty(0, dtype=kind)
    if not bool(torch.isfinite(found).all()):
        raise ValueError("its weights hold numbers that are not finite")
    return found


def _view(numbers: Tensor, meta: TensorMeta) -> Tensor:
    shape, strides = meta.shape, [size.as_int for size in meta.strides]
    if prod(shape) > len(numbers):
        raise ValueError(f"it has {len(numbers):,} numbers where a tensor of shape {tuple(shape)} should be")
    return numbers.as_strided(shape, strides, meta.storage_offset.as_int)


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts within a value of JSON, each with its key; the keys too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            yield from _texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key, value
