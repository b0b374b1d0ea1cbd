"""Predictions of image files into a file, which a later call can resume, whatever stopped this one."""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

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
AGAIN = "the same call with resume=True"
_LOGGER = logging.getLogger("longtail")


def write_predictions(
    file: PredictionsFile,
    images: ImageSources,
    stream: Stream,
    settings: Mapping[str, Any],
    *,
    resume: bool = False,
    strict: bool = False,
    again: str = AGAIN,
    say: Say | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome | None:
    """Predict images into a file, a row for each, in their order.

    Args:
        file: what is written, checked already.
        images: what is predicted.
        stream: predicts.
        settings: what has to be the same for a later call to resume this one.
        resume: keep the rows that a stopped call has left; images without a prediction are tried again.
        strict: refuse unreadable images; the rows stay for a later call.
        again: how to resume after an interruption, for its message.
        say: called with each line on the images; without it the lines are records of the logger `longtail`.
        progress: called with the number of rows that there are, at first with those that are kept.

    Returns:
        What became of the images; None where the file was finished before and nothing is left to do.

    Raises:
        InputError: the file was made with other settings, is damaged, in use or cannot be written; no image can be
            read, or with `strict` not every one.
        KeyboardInterrupt: stopped by the user; the message says how to resume.
    """
    tell, outcome = say or _LOGGER.info, Outcome()
    if resume and file.is_finished:
        file.check_finished(settings)
        tell(f"{file.out} is finished; nothing to resume")
        return None
    try:
        with file.opened(settings, resume=resume):
            _predict(file, images, stream, outcome, tell, progress)
            if strict and outcome.unreadable and file.predicted:
                how = "--resume keeps them: without --strict, or once every image can be read"
                tell(f"{file.predicted:,} predictions stay in {file.partial}; {how}")
            outcome.check(file.predicted, strict=strict)
            for table in file.tables():
                outcome.add(table)
            file.finish(outcome.unreadable)
    except KeyboardInterrupt:
        if not file.predicted:
            raise KeyboardInterrupt("interrupted before the first prediction; nothing was written") from None
        raise KeyboardInterrupt(
            f"interrupted with {file.predicted:,} predictions in {file.partial}; resume with: {again}"
        ) from None
    outcome.left_out = images.left_out
    for line in outcome.lines(file.unreadable):
        tell(line)
    tell(f"{outcome.rows:,} prediction{'s' * (outcome.rows != 1)} in {file.out}")
    return outcome


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


def _predict(
    file: PredictionsFile,
    images: ImageSources,
    stream: Stream,
    outcome: Outcome,
    say: Say,
    progress: Callable[[int], None],
) -> None:
    """Fill the empty rows that are kept, as far as their images can be read by now, and add the others."""
    found = outcome.unreadable, outcome.repaired
    if file.rows:
        say(f"resuming after {file.rows:,} images in {file.partial}")
    with closing(stream(file.empty, *found)) as filled:
        for table in filled:
            file.fill(table)
    progress(file.rows)
    with closing(stream(_left(images.names(), file.done), *found)) as tables:
        for table in tables:
            file.add(table)
            progress(file.rows)


def _left(names: Iterable[str], done: Mapping[str, int]) -> Iterator[str]:
    """The images without those that have a row, each as often as it has one."""
    rows = Counter(done)
    for name in names:
        if rows[name] > 0:
            rows[name] -= 1
        else:
            yield name
