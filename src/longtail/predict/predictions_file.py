"""Predictions as a CSV or Parquet file that grows beside its name and gets it only once it is whole.

While images are predicted, FILE.partial grows: one JSON line that says what is predicted and how, then one line an
image, in the order of the images. JSON lines, whatever FILE will be, because a line that a killed process tore is known
by its missing end, and because names with line breaks or bytes that are no Unicode fit into one. Where an image cannot
be read its line has nulls; a command that resumes tries it again and fills them in.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from longtail.caller_words import PYTHON, Words
from longtail.predict.prediction_rows import check_row, is_empty, json_rows, table_of, write_predictions
from longtail.predict.unreadable import write_unreadable
from longtail.records import parse_json
from longtail.runs.atomic_write import atomic_write, check_free, writing
from longtail.runs.locks import locked
from longtail.types import InputError

if TYPE_CHECKING:
    import pandas as pd

UNSAID = {"views": 1}
ROWS = 8192  # in memory at a time while FILE is written; a row group of Parquet


class PredictionsFile:
    """The predictions of one call or command on their way into a file.

    Args:
        out: the file; Parquet where its name ends in .parquet, otherwise CSV.
        words: of the caller.

    Attributes:
        partial: where the rows lie until the file is whole.
        unreadable: where the images are listed that could not be read, if any.
        settings_file: what the finished file was made with, for a later call to be resumed.
        done: how often each image has a row from the command that this one resumes.
        empty: those of them, in order, whose row is empty.
        rows: how many rows there are.
        predicted: how many of them are not empty.
    """

    def __init__(self, out: Path, words: Words = PYTHON) -> None:
        self.out, self.words = out, words
        self._again = f"start again with {words.overwrite}"
        self.partial = out.parent / f"{out.name}.partial"
        self.unreadable = out.parent / f"{out.name}.unreadable.csv"
        self.settings_file = out.parent / f".{out.name}.settings"
        self.done: Counter[str] = Counter()
        self.empty: list[str] = []
        self.rows = self.predicted = 0
        self._filled: dict[str, list[Any]] = {}
        self._file: BinaryIO | None = None
        self._settings: dict[str, Any] = {}

    @property
    def is_finished(self) -> bool:
        return self.out.is_file() and not self.partial.is_file()

    def check_free(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a file that exists, unless the command says what to do with it, or that could not be made.

        Raises:
            InputError: see above.
        """
        self._check_free(self.out, overwrite or resume)
        if self.out.suffix.lower() not in (".csv", ".parquet"):
            raise InputError(
                f"{self.out} ends in neither .csv nor .parquet; give {self.out.with_suffix('.csv')}"
            )
        self._check_free(self.unreadable, overwrite or resume)
        if self.partial.exists() and not resume and not overwrite:
            raise InputError(
                f"{self.partial} is left of a command that was stopped; resume it with {self.words.resume}, or "
                f"{self._again}"
            )

    def _check_free(self, file: Path, overwrite: bool) -> None:
        check_free(file, overwrite=overwrite, other=self.words.other, again=self.words.overwrite)

    @contextmanager
    def opened(self, settings: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
        """Hold the partial file; the rows written stay in it whatever happens.

        Args:
            settings: what has to be the same for a later command to resume this one.
            resume: keep the rows that are there, if any.

        Raises:
            InputError: the partial file was begun with other settings, is damaged or in use.
        """
        self._settings = dict(settings)
        busy = f"another command is writing {self.partial}; wait for it, or choose {self.words.other}"
        with ExitStack() as held:
            with self._writing():
                held.enter_context(locked(self.out.with_name(f".{self.out.name}.lock"), busy))
                resuming = resume and self.partial.is_file()
                self._file = self.partial.open("r+b" if resuming else "ab")
            held.enter_context(_closing(self._file))
            try:
                if resuming:
                    self._read_done()
                else:
                    self._begin()
                yield
            finally:
                if self.predicted == 0 and not resuming:
                    self.partial.unlink(missing_ok=True)

    def check_finished(self, settings: Mapping[str, Any]) -> None:
        """Refuse to take the finished file for what these settings would give, unless it was made with them.

        Raises:
            InputError: see above.
        """
        try:
            changed = _changed(self._parsed(self.settings_file.read_bytes()), settings)
        except (OSError, ValueError, AttributeError):
            raise InputError(
                f"{self.out} is finished, but with which settings is not known any more; {self._again}"
            ) from None
        if changed:
            raise InputError(
                f"{self.out} was made with other settings ({changed}); choose {self.words.other}, or {self._again}"
            )

    def add(self, table: "pd.DataFrame") -> None:
        """Append a piece of the table.

        Raises:
            InputError: the file system refuses; what was written before stays, and can be resumed.
        """
        rows = json_rows(table)
        with self._writing():
            first = [] if self.rows else [{"columns": list(table.columns)}]
            self._append([*first, *rows])
        self.rows += len(rows)
        self.predicted += sum(not is_empty(row) for row in rows)

    def fill(self, table: "pd.DataFrame") -> None:
        """Keep rows for images of `empty` that can be read by now."""
        found = {row[0]: row for row in json_rows(table) if not is_empty(row)}
        self._filled |= found
        self.predicted += sum(name in found for name in table["path"])

    def tables(self) -> Iterator["pd.DataFrame"]:
        """All rows, in pieces."""
        with self.partial.open("rb") as file:
            next(file)
            columns = json.loads(next(file, b'{"columns": []}'))["columns"]
            while rows := [self._newest(json.loads(line)) for line in islice(file, ROWS)]:
                yield table_of(rows, columns)

    def _newest(self, row: list[Any]) -> list[Any]:
        return self._filled.get(row[0], row) if is_empty(row) else row

    def finish(self, unreadable: Sequence[tuple[str, str]] = ()) -> None:
        """Write the file from the rows and give it its name; the partial one goes.

        Args:
            unreadable: (path, reason) of the images whose row is empty.

        Raises:
            InputError: the file system refuses; the partial file stays.
        """
        with atomic_write(self.out, self._way_on()) as temporary:
            write_predictions(self.tables(), temporary, parquet=self.out.suffix.lower() == ".parquet")
            self.unreadable.unlink(missing_ok=True)
            if unreadable:
                write_unreadable(self.unreadable, unreadable)
        with self._writing():
            self.settings_file.write_text(json.dumps(self._settings), "ascii")
            self.partial.unlink(missing_ok=True)

    def _begin(self) -> None:
        assert self._file is not None
        with self._writing():
            self._file.seek(0)
            self._file.truncate()
            self._append([{"settings": self._settings}])

    def _read_done(self) -> None:
        """Keep what is whole in the partial file, and cut off what is not."""
        assert self._file is not None
        end, columns = 0, list[str]()
        for number, line in enumerate(self._file):
            if not line.endswith(b"\n"):
                break
            try:
                found = self._parsed(line)
                if number == 0:
                    self._check_settings(found["settings"])
                elif number == 1:
                    columns = found["columns"]
                else:
                    check_row(found, columns)
                    self._take_over(found)
            except InputError:
                raise
            except (ValueError, LookupError, TypeError, AttributeError):
                raise InputError(f"{self.partial} is damaged; {self._again}") from None
            end += len(line)
        self.rows = self.done.total()
        self.predicted = self.rows - len(self.empty)
        if self.rows == 0:  # the heading may be torn, or there without a row
            self._begin()
        else:
            self._file.truncate(end)
            self._file.seek(end)

    def _take_over(self, row: list[Any]) -> None:
        self.done[row[0]] += 1
        if is_empty(row):
            self.empty.append(row[0])

    def _parsed(self, line: bytes) -> Any:
        return parse_json(line, str(self.partial), self._again, file_names=True)

    def _check_settings(self, before: Any) -> None:
        if changed := _changed(before, self._settings):
            raise InputError(
                f"{self.partial} was begun with other settings ({changed}); repeat the first command with "
                f"{self.words.resume}, or {self._again}"
            )

    def _append(self, lines: list[Any]) -> None:
        assert self._file is not None
        self._file.write("".join(json.dumps(line) + "\n" for line in lines).encode("ascii"))
        self._file.flush()

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self.out, self._way_on())

    def _way_on(self) -> str:
        return f"then repeat it with {self.words.resume}, or choose {self.words.other}"


@contextmanager
def _closing(file: BinaryIO) -> Iterator[None]:
    """Close it in the end. Everything was flushed before, or flushing failed with an error of its own."""
    try:
        yield
    finally:
        with suppress(OSError):
            file.close()


def _changed(before: Any, now: Mapping[str, Any]) -> str:
    """The settings that differ, by name; older files are of one view without saying so. `before` is not checked yet."""
    return ", ".join(key for key in now if before.get(key, UNSAID.get(key)) != now[key])
