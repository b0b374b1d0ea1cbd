"""Image files to predict, listed while they are predicted, so that no list of them has to be held."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from longtail.data.formats import SUFFIXES
from longtail.data.images import walk_images
from longtail.types import InputError

Sources = str | Path | Iterable[str | Path]


class ImageSources:
    """Image files and folders, each file once, however its path is spelt.

    Args:
        sources: files, taken as they are, and folders, searched in sorted order without hidden files.

    Raises:
        InputError: a source does not exist, or a folder holds no image.
    """

    def __init__(self, sources: Sources) -> None:
        given = [sources] if isinstance(sources, str | Path) else sources
        self._given = tuple(dict.fromkeys(str(source) for source in given))
        for source in map(Path, self._given):
            if not source.exists():
                raise InputError(f"{source} does not exist; give image files or folders of images")
            if not source.is_file() and not any(walk_images(source)):
                known = " ".join(sorted(SUFFIXES))
                raise InputError(f"no images in {source}; give a folder with files ending in {known}")

    def __iter__(self) -> Iterator[Path]:
        """The files; a folder is read when it is reached."""
        seen: set[str] | None = set() if len(self._given) > 1 else None
        for source in map(Path, self._given):
            for path in (source,) if source.is_file() else walk_images(source):
                if seen is not None:
                    place = os.path.abspath(path)  # noqa: PTH100 links stay apart
                    if place in seen:
                        continue
                    seen.add(place)
                yield path

    @property
    def fingerprint(self) -> str:
        """Changes with the sources as given, not with what lies in their folders."""
        given = b"\0".join(os.fsencode(source) for source in self._given)
        return hashlib.blake2b(given, digest_size=8).hexdigest()

    def count(self) -> int:
        """How many there are now."""
        return sum(1 for _ in self)
