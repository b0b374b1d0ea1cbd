"""A run's folder: its files, written whole or not at all."""

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from longtail.csv_text import csv_text
from longtail.errors import InputError
from longtail.machine import cure_of
from longtail.records import Form, parse_json, read_bytes, read_record, refuse_newer
from longtail.runs import layout
from longtail.runs.atomic_write import atomic_write, is_left_over, writing
from longtail.runs.layout import RunFile
from longtail.runs.locks import locked
from longtail.runs.schema import check_names, plain

if TYPE_CHECKING:
    import pandas as pd
from longtail.text_file import encode

RESTORE = "restore it, or train again with: longtail train IMAGES --out DIR"
EVALUATE = "evaluate the run again"
AGAIN = "then repeat the command"
RESUME = "then resume the run with --resume"


class RunFolder:
    """The files of one run, see docs/cli.md for the list.

    Args:
        path: the folder; nothing is read or written before a method asks for it.

    Attributes:
        is_training: whether a run is being trained here, so that one that cannot be written is resumed with --resume.
    """

    is_training = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def checkpoint(self) -> Path:
        return self.path / layout.STATE

    @property
    def train_again(self) -> str:
        """What to do where the folder is beyond repair."""
        recipe = self.path / layout.RECIPE
        return (
            f"train again: longtail train {shlex.quote(str(recipe))}" if recipe.is_file() else "train again"
        )

    @property
    def restore(self) -> str:
        """What to do where a file of the folder is damaged."""
        return f"restore it or {self.train_again}"

    def check_free(self) -> None:
        """Refuse a folder that holds something.

        Raises:
            InputError: it exists and is not empty, or is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"output folder {self.path} is a file; choose another --out")
        if self.path.is_dir() and any(not _is_ours(file.name) for file in self.path.iterdir()):
            raise InputError(
                f"output folder {self.path} is not empty; choose another --out, or resume its run with --resume"
            )

    def create(self) -> None:
        """Make the folder.

        Raises:
            InputError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make {self.path}: {error.strerror}; {cure_of(error)}, or choose another output folder"
            ) from None

    def clear(self) -> None:
        """Remove whatever the folder holds but its lock, as far as the file system lets go of it."""
        with suppress(OSError), os.scandir(self.path) as inside:
            for entry in inside:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                elif entry.name != layout.LOCK:
                    Path(entry.path).unlink()

    def status(self) -> dict[str, Any]:
        """status.json: "status", "epoch" (how many are finished) and "epochs".

        Raises:
            InputError: the folder is no run, a newer longtail wrote it, or the file is damaged.
        """
        self.check_version()
        found = plain(self.read(layout.STATUS))
        found.pop("format_version", None)
        return found

    def check_version(self) -> None:
        """Refuse a run that a newer longtail wrote; one that says no version is of the first.

        Raises:
            InputError: see above, or status.json is damaged.
        """
        file = self.path / layout.STATUS
        if file.exists():
            found = parse_json(read_bytes(file, self.restore), str(file), self.restore)
            refuse_newer(found, layout.FORMAT_VERSION, f"the run folder {self.path}")

    def classes(self) -> list[dict[str, Any]]:
        """classes.json: "name", "index", "count" and "group" of each class, by index.

        Raises:
            InputError: the folder is no run, or the file is damaged.
        """
        return [plain(row) for row in self.read(layout.CLASSES).root]

    def metrics(self, name: str, remedy: str = EVALUATE) -> dict[str, Any]:
        """eval/<name>/metrics.json.

        Raises:
            InputError: there is none, it is damaged, or names classes that the run does not have.
        """
        file = layout.metrics(name)
        found, known = self.read(file, remedy), [row["name"] for row in self.classes()]
        try:
            check_names(found, known)
        except ValueError as error:
            raise InputError(f"{self.path / file} is damaged ({error}); {remedy}") from None
        return plain(found)

    def table(self, split: str, file: str, remedy: str = EVALUATE) -> "pd.DataFrame":
        """per_class.csv, confusions.csv or predictions.parquet of an evaluation, see `longtail.runs.tables`.

        Raises:
            InputError: there is none, it is damaged, or of other classes than the run's.
        """
        from longtail.runs.tables import read_table  # pandas: only where a table is read

        return read_table(self.path / layout.evaluation(split, file), self.classes(), remedy)

    def splits(self, remedy: str = "") -> "pd.DataFrame":
        """splits.csv: path, class, split and more of each image.

        Raises:
            InputError: there is none, it is damaged, or of other classes than the run's.
        """
        from longtail.runs.tables import read_splits

        return read_splits(self.path / layout.SPLITS, self.classes(), remedy or self.restore)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training into this folder; a process that dies lets go of it.

        Raises:
            InputError: the folder does not exist, or another process trains into it.
        """
        if not self.path.is_dir():
            raise InputError(f"{self.path} is not a run folder; give a folder that `train` made")
        busy = f"another process is writing into {self.path}; wait for it, or use another folder"
        with ExitStack() as held:
            with writing(self.path / layout.LOCK):
                held.enter_context(locked(self.path / layout.LOCK, busy))
            yield

    def write(self, name: str, fill: Callable[[BinaryIO], Any]) -> Path:
        """Write a file under a temporary name, bring it to disk, then give it its name.

        Raises:
            InputError: the file system refuses (full, read-only); what was there before is untouched.
        """
        target = self.path / name
        again = RESUME if self.is_training and self.checkpoint.is_file() else AGAIN
        with atomic_write(target, again) as partial, partial.open("wb") as file:
            fill(file)
        return target

    def write_text(self, name: str, text: str) -> Path:
        return self.write(name, lambda file: file.write(text.encode("utf-8", "backslashreplace")))

    def write_csv(self, name: str, rows: Iterable[Sequence[object]]) -> Path:
        """Write a table; names of files keep their bytes."""
        return self.write(name, lambda file: file.write(encode(csv_text(rows))))

    def write_json(self, name: str, value: Any) -> Path:
        return self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read(self, file: RunFile[Form], remedy: str = "") -> Form:
        """The content of a JSON file, see `longtail.records.read_record`.

        Raises:
            InputError: the folder is no run, or the file is damaged.
        """
        if not (self.path / file).exists():
            raise InputError(self._no_run(file))
        return read_record(self.path / file, file.form, remedy or self.restore)

    def _no_run(self, missing: str) -> str:
        """What to say where a file of a run is missing: the runs inside, as several seeds leave them, are named."""
        inside = sorted(str(file.parent) for file in self.path.glob(f"*/{layout.STATUS}"))
        if inside:
            more = f" and {len(inside) - 10} more" if len(inside) > 10 else ""
            runs = f"{', '.join(inside[:10])}{more}"
            return f"{self.path} is not a run folder but holds runs; give one of them: {runs}"
        if not self.path.exists():
            return f"{self.path} does not exist; give a folder that `train` made"
        return f"{self.path} is not a run folder: it has no {missing}; give a folder that `train` made"

    def write_log(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Replace log.jsonl: one line an epoch."""
        lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
        self.write_text(layout.LOG, "".join(line + "\n" for line in lines))

    def set_status(self, status: str, **more: Any) -> None:
        """status.json: running, done, failed or interrupted, and how far the run is."""
        self.write_json(layout.STATUS, {"status": status, **more, "format_version": layout.FORMAT_VERSION})


def _is_ours(name: str) -> bool:
    """Whether a file may lie in a free run folder: what a killed process left behind."""
    return name == layout.LOCK or is_left_over(name)


def next_free(parent: str | Path, name: str) -> Path:
    """`parent/name`, or the first of `parent/name-2`, `parent/name-3`, ... that does not exist."""
    path, number = Path(parent) / name, 2
    while path.exists():
        path, number = Path(parent) / f"{name}-{number}", number + 1
    return path
