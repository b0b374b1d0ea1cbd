"""Predictions of image files: printed, or written into a file that a later call resumes, whatever stopped this one."""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.csv_text import table_lines
from longtail.data.dataset import counted
from longtail.predict.inputs import items_of
from longtail.predict.outcome import Outcome
from longtail.predict.predictions_file import PredictionsFile
from longtail.predict.sources import ImageSources
from longtail.predict.unreadable import Unreadable
from longtail.types import InputError

if TYPE_CHECKING:
    import pandas as pd

Stream = Callable[[Iterable[str], Unreadable, Unreadable], Generator["pd.DataFrame", None, None]]
"""From paths to pieces of the table; the lists are filled with what is unreadable, and with what was repaired."""
Say = Callable[[str], None]
Progress = Callable[[int], None]
_LOGGER = logging.getLogger("longtail")


@dataclass(frozen=True)
class Prediction:
    """Image files and how they are predicted: printed as they come, or written into a file that can be resumed.

    Attributes:
        images: what is predicted.
        stream: predicts.
        settings: makes what has to be the same for a later call to resume the file of this one.
        strict: refuse unreadable images; rows that are written stay for a later call.
        say: called with each line on the images.
        progress: called with the number of rows that there are.
    """

    images: ImageSources
    stream: Stream
    settings: Callable[[], Mapping[str, Any]]
    strict: bool = False
    say: Say = _LOGGER.info
    progress: Progress = lambda _: None

    def print(self, out: TextIOBase) -> Outcome:
        """Write the predictions as CSV, a piece at a time; returns what became of the images.

        Raises:
            InputError: no image can be read, or with `strict` not every one.
        """
        outcome, done = Outcome(), 0
        with closing(self.stream(self.images.names(), outcome.unreadable, outcome.repaired)) as tables:
            self.progress(0)
            for number, table in enumerate(tables):
                out.writelines(table_lines(table, header=number == 0))
                outcome.add(table)
                self.progress(done := done + len(table))
        out.flush()
        outcome.check(outcome.rows, strict=self.strict)
        self._say_all(outcome)
        return outcome

    def write(self, file: PredictionsFile, *, resume: bool = False) -> Outcome | None:
        """Write a row for each image, in their order.

        Args:
            file: what is written, checked already.
            resume: keep the rows that a stopped call has left; images without a prediction are tried again.

        Returns:
            What became of the images; None where the file was finished before and nothing is left to do.

        Raises:
            InputError: the file was made with other settings, is damaged, in use or cannot be written; no image can
                be read, or with `strict` not every one.
            KeyboardInterrupt: stopped by the user; the message says how to resume.
        """
        settings, outcome = self.settings(), Outcome()
        if resume and file.is_finished:
            file.check_finished(settings)
            self.say(f"{file.out} is finished; nothing to resume")
            return None
        try:
            with file.opened(settings, resume=resume):
                self._fill(file, outcome)
                file.finish(outcome.unreadable)
        except KeyboardInterrupt:
            if not file.predicted:
                raise KeyboardInterrupt(
                    "interrupted before the first prediction; nothing was written"
                ) from None
            raise KeyboardInterrupt(
                f"interrupted with {file.predicted:,} predictions in {file.partial}; resume with: {file.words.again}"
            ) from None
        self._say_all(outcome, file.unreadable)
        self.say(f"{outcome.rows:,} prediction{'s' * (outcome.rows != 1)} in {file.out}")
        return outcome

    def _fill(self, file: PredictionsFile, outcome: Outcome) -> None:
        """Fill the empty rows that are kept, as far as their images can be read by now, and add the others."""
        found = outcome.unreadable, outcome.repaired
        if file.rows:
            self.say(f"resuming after {file.rows:,} images in {file.partial}")
        with closing(self.stream(file.empty, *found)) as filled:
            for table in filled:
                file.fill(table)
        self.progress(file.rows)
        with closing(self.stream(_left(self.images.names(), file.done), *found)) as tables:
            for table in tables:
                file.add(table)
                self.progress(file.rows)
        if self.strict and outcome.unreadable and file.predicted:
            how = f"{file.words.resume} keeps them: without {file.words.strict}, or once every image can be read"
            self.say(f"{file.predicted:,} predictions stay in {file.partial}; {how}")
        outcome.check(file.predicted, strict=self.strict)
        for table in file.tables():
            outcome.add(table)

    def _say_all(self, outcome: Outcome, listed: Path | None = None) -> None:
        outcome.left_out = self.images.left_out
        for line in outcome.lines(listed):
            self.say(line)


def paths_of(given: Any) -> ImageSources:
    """Paths from Python; what is given twice is warned of.

    Raises:
        InputError: an image in memory is given, which has no name to be resumed by; see `ImageSources`, too.
    """
    items = items_of(given)
    paths = [os.fspath(item) for item in items if isinstance(item, str | os.PathLike)]
    if len(paths) < len(items):
        raise InputError(
            f"{counted(len(items) - len(paths), 'image')} of {len(items):,} in memory; give paths of files and "
            "folders, or use predict, which returns a table"
        )
    images = ImageSources(paths)
    for line in images.notes():
        warnings.warn(line, stacklevel=3)
    return images


def _left(names: Iterable[str], done: Mapping[str, int]) -> Iterator[str]:
    """The images without those that have a row, each as often as it has one."""
    rows = Counter(done)
    for name in names:
        if rows[name] > 0:
            rows[name] -= 1
        else:
            yield name
