"""Image files to predict, listed while they are predicted, so that no list of them has to be held."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from longtail.data.formats import SUFFIXES
from longtail.data.left_out import Collector, LeftOut, left_out_lines
from longtail.data.own_output import is_own
from longtail.data.walking import Walker
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

    Raises:
        InputError: no source exists and holds an image.
    """

    def __init__(self, sources: Sources) -> None:
        given = [sources] if isinstance(sources, str | Path) else sources
        self._given = tuple(str(source) for source in given)
        self._beside = Collector()
        reasons = [(source, _why_nothing(source, self._beside)) for source in self._given]
        self.missing = tuple((source, reason) for source, reason in reasons if reason)
        self.repeated = len(self._given) - len(set(self._given))
        if self.missing and len(self.missing) == len(self._given):
            source, reason = self.missing[0]
            number = f"none of {len(self.missing):,} sources can be read, for example: "
            which = "" if len(self.missing) == 1 else number
            known = " ".join(sorted(SUFFIXES))
            raise InputError(
                f"{which}{source} {reason}; give image files or folders of images ({known})",
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

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What else lay in the folders, as far as they were read the last time."""
        return self._beside.found()

    @property
    def fingerprint(self) -> str:
        """Changes with the sources as given, not with what lies in their folders."""
        given = b"\0".join(os.fsencode(source) for source in self._given)
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


def _why_nothing(source: str, beside: Collector) -> str | None:
    """Why there is nothing to read in a source; None where there is, as far as can be seen without reading it."""
    if not os.path.exists(source):  # noqa: PTH110 any text
        return "does not exist"
    if not os.path.isdir(source) or next(files_of(source, beside)) != source:  # noqa: PTH112 any text
        return None
    return (
        "was written by longtail and holds no images to read" if is_own(Path(source)) else "holds no images"
    )
