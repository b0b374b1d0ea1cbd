"""Image files to predict, listed while they are predicted, so that no list of them has to be held."""

import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from longtail.caller_words import PYTHON, Words
from longtail.data.dataset import counted
from longtail.data.formats import SUFFIXES
from longtail.data.left_out import Collector, LeftOut, left_out_lines
from longtail.data.missing import why_missing
from longtail.data.own_output import is_own
from longtail.data.walking import Walker
from longtail.predict.unreadable import unreadable_error
from longtail.types import InputError

Sources = str | Path | Iterable[str | Path]


class ImageSources:
    """Image files and folders in the order given, each as often as it is given.

    Args:
        sources: files, taken as they are, and folders, searched in sorted order without hidden files.

    Attributes:
        missing: (source, reason) of those that do not exist, and of folders without images. They are listed like files:
            they cannot be read, and others can.
        repeated: how many sources were given before.
        overlap: what to say where sources lie in folders that are given too, so that their images have several rows;
            None where none does.

    Raises:
        InputError: no source is given, or none exists and holds an image.
    """

    def __init__(self, sources: Sources) -> None:
        given = [sources] if isinstance(sources, str | Path) else sources
        self._given = tuple(str(source) for source in given)
        if not self._given:
            raise InputError("no images are given; give image files or folders of images")
        self._beside = Collector()
        reasons = [(source, _why_nothing(source, self._beside)) for source in self._given]
        self.missing = tuple((source, reason) for source, reason in reasons if reason)
        self.repeated = len(self._given) - len(set(self._given))
        self.overlap = self._overlap()
        if self.missing and len(self.missing) == len(self._given):
            source, reason = self.missing[0]
            number = f"none of {len(self.missing):,} sources can be read, for example: "
            which = ("" if len(self.missing) == 1 else number) + (source or "''")
            known = " ".join(sorted(SUFFIXES))
            raise InputError(
                f"{which} {reason}{_hint(source)}; give image files or folders of images ({known})",
                left_out_lines(self._beside.found()),
            )

    def __iter__(self) -> Iterator[Path]:
        """The files; a folder is read when it is reached."""
        return map(Path, self.names())

    def names(self) -> Iterator[str]:
        """The files as they are spelt."""
        self._beside = Collector()
        for source in self._given:
            yield from files_of(source, self._beside)

    def notes(self) -> list[str]:
        """What to know of the sources before their images are read: what is given twice."""
        lines = [] if self.overlap is None else [self.overlap]
        if not self.repeated:
            return lines
        one = self.repeated == 1
        sources = "source was given before and is" if one else "sources were given before and are"
        return [f"{self.repeated:,} {sources} answered each time", *lines]

    def check_complete(self, words: Words = PYTHON) -> None:
        """Refuse sources that are missing, and folders that hold what could be images and is left out.

        Args:
            words: of the caller.

        Raises:
            InputError: see above.
        """
        if self.missing:
            raise unreadable_error(list(self.missing))
        if self.count() and (lost := left_out_lines(self.left_out, problems_only=True)):
            raise InputError(
                f"the folders hold more than images; remove or convert it, or leave out {words.strict}", lost
            )

    def _overlap(self) -> str | None:
        places = {os.path.abspath(source): source for source in self._given}  # noqa: PTH100 any text
        within = [(place, above) for place in places if (above := _given_above(place, places))]
        if not within:
            return None
        names = Counter(os.path.abspath(name) for name in self.names())  # noqa: PTH100
        folder = places[within[0][1]]
        lie = "1 source lies" if len(within) == 1 else f"{len(within):,} sources lie"
        rows = f"{names.total():,} rows for {counted(len(names), 'image')}"
        return (
            f"{lie} in folders that are given too, such as {folder}: {rows}; "
            f"for one row an image give {folder} alone, or files alone (find {shlex.quote(folder)} -type f)"
        )

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What else lay in the folders, as far as they were read the last time."""
        return self._beside.found()

    @property
    def fingerprint(self) -> str:
        """Changes with the sources as given and where they are, not with what lies in their folders."""
        given = b"\0".join(os.fsencode(Path(source).absolute()) for source in self._given)
        return hashlib.blake2b(given, digest_size=8).hexdigest()

    def count(self) -> int:
        """How many there are now."""
        return sum(1 for _ in self)


def files_of(source: str, beside: Collector) -> Iterator[str]:
    """A file as it is spelt, or the images of a folder in sorted order; a folder without images is given like a file.

    Args:
        source: the file or folder.
        beside: is given what else lies in the folder, once all of it was read.
    """
    empty = True
    if os.path.isdir(source) and not is_own(Path(source)):  # noqa: PTH112 any text
        walker = Walker()
        for _, path in walker.walk(Path(source)):
            empty = False
            yield str(path)
        beside.extend(walker.left_out())
    if empty:
        yield source


def _hint(source: str) -> str:
    return "" if os.path.exists(source) else why_missing(source)  # noqa: PTH110


def _given_above(place: str, places: Container[str]) -> str | None:
    """The nearest folder of `places` that a path lies in."""
    while (above := os.path.dirname(place)) != place:  # noqa: PTH120
        if above in places:
            return above
        place = above
    return None


def _why_nothing(source: str, beside: Collector) -> str | None:
    """Why there is nothing to read in a source; None where there is, as far as can be seen without reading it."""
    if not os.path.exists(source):  # noqa: PTH110 any text
        return "does not exist"
    if not os.path.isdir(source) or next(files_of(source, beside)) != source:  # noqa: PTH112 any text
        return None
    return (
        "was written by longtail and holds no images to read" if is_own(Path(source)) else "holds no images"
    )
