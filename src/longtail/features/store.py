"""Rows of features on disk, found by the content of the image: they are added in blocks and read through a map."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt64
from torch import Tensor

from longtail.features.place import LOCK, touch
from longtail.runs.atomic_write import writing
from longtail.runs.locks import HeldError, locked

SETTINGS, CONTENTS, ROWS = "settings.json", "contents.bin", "rows.bin"
WAIT = 1.0  # seconds
KINDS = {"float32": torch.float32, "float16": torch.float16}


class FeatureStore:
    """Features of one view under one set of settings: a folder of two files that only grow.

    `rows.bin` has a row of D numbers an image and `contents.bin` its content number; of a block the row comes first, so
    that what a kill cuts off is a row without a number, which is not counted and written over.

    Args:
        root: the folder of all stores.
        settings: all that the features depend on beside the image; they name the folder.
        dim: D.
        kind: "float32" or "float16".
    """

    def __init__(self, root: Path, settings: Mapping[str, Any], dim: int, kind: str = "float32") -> None:
        self.settings = {**settings, "dim": dim, "kind": kind}
        text = json.dumps(self.settings, sort_keys=True, indent=1)
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:24]
        self.dim, self.dtype = dim, KINDS[kind]
        self._row = dim * self.dtype.itemsize
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / SETTINGS).write_text(text + "\n", "utf-8")
            touch(self.folder)

    def __len__(self) -> int:
        sizes = (self._size(ROWS) // self._row, self._size(CONTENTS) // 8)
        return min(sizes)

    def places(self, contents: UInt64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The row of each of these images; -1 where it is not there."""
        count = len(self)
        known = np.fromfile(self.folder / CONTENTS, np.uint64, count) if count else np.empty(0, np.uint64)
        numbers, first = np.unique(known, return_index=True)
        if not len(numbers):
            return np.full(len(contents), -1, np.int64)
        at = np.minimum(np.searchsorted(numbers, contents), len(numbers) - 1)
        return np.where(numbers[at] == contents, first[at], -1).astype(np.int64)

    def rows(self) -> Float[Tensor, "n d"]:
        """All rows, mapped from the file: what is not looked at takes no memory. Not to be changed."""
        count = len(self)
        if not count:
            return torch.empty(0, self.dim, dtype=self.dtype)
        shape = count, self.dim
        kind = np.float32 if self.dtype == torch.float32 else np.float16
        return torch.from_numpy(
            np.memmap(self.folder / ROWS, kind, "c", shape=shape)
        )  # "c": torch wants writable

    @contextmanager
    def growing(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the only process that adds rows.

        Args:
            waiting: called once where another process does, before waiting for it.
        """
        said = False
        while True:
            try:
                held = locked(self.folder / LOCK, "")
                held.__enter__()
                break
            except HeldError:
                if not said:
                    waiting()
                said = True
                time.sleep(WAIT)
        try:
            yield
        finally:
            held.__exit__(None, None, None)

    def add(self, contents: UInt64[np.ndarray, " b"], rows: Float[Tensor, "b d"]) -> None:
        """Add the features of a block of images, while `growing`.

        Raises:
            InputError: the disk is full, or cannot be written to; the rows before stay.
        """
        count = len(self)
        with writing(self.folder / ROWS):
            self._write(ROWS, count * self._row, rows.to(self.dtype).contiguous().cpu().numpy().tobytes())
            self._write(CONTENTS, count * 8, contents.tobytes())

    def _write(self, name: str, offset: int, data: bytes) -> None:
        file = self.folder / name
        file.touch()
        with file.open("r+b") as opened:
            opened.truncate(offset)
            opened.seek(offset)
            opened.write(data)

    def _size(self, name: str) -> int:
        file = self.folder / name
        return file.stat().st_size if file.is_file() else 0
