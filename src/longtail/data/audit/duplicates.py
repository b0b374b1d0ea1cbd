"""Images that a set holds more than once."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from longtail.data.audit.look import THUMB, Look
from longtail.data.audit.near import alike, link

_TAIL = 4096  # bytes at the end of a file; beginnings are alike in many


def duplicate_rows(looks: Sequence[Look]) -> list[tuple[Literal["exact", "near"], list[int]]]:
    """Rows of images that are the same, and of images that look alike.

    Exact: the same bytes, or the same pixels where all were decoded. Near: see `alike`; of images that are the
    same one is compared, and all are listed.

    Args:
        looks: what is known of each image.
    """
    same = np.arange(len(looks))
    for digests in ((one.content for one in looks), (one.pixels for one in looks)):
        _link_equal(same, digests)
    firsts = np.flatnonzero(same == np.arange(len(looks)))
    hashes = np.array([looks[row].hash for row in firsts.tolist()], dtype=np.uint64)
    thumbs = np.array([looks[row].thumb for row in firsts.tolist()], dtype=np.uint8).reshape(-1, THUMB**2)
    near = np.arange(len(looks))
    near[firsts] = firsts[alike(hashes, thumbs)]
    exact = _together(same)
    resembling = _together(near[same], {tuple(rows) for rows in exact})
    return [*(("exact", rows) for rows in exact), *(("near", rows) for rows in resembling)]


def duplicate_files(files: Sequence[Path]) -> list[list[int]]:
    """Positions of files with the same bytes; of files of different sizes nothing is read.

    Args:
        files: those that cannot be read are passed over.
    """
    rows: Iterable[Sequence[int]] = [range(len(files))]
    for key in (_size, _tail, _whole):
        rows = [part for group in rows for part in _apart(group, files, key)]
    return sorted(list(group) for group in rows)


def _apart(rows: Sequence[int], files: Sequence[Path], key: Callable[[Path], object]) -> list[list[int]]:
    """Rows whose files agree in a key, where there are two or more."""
    found: Mapping[object, list[int]] = defaultdict(list)
    for row in rows:
        with suppress(OSError):
            found[key(files[row])].append(row)
    return [group for group in found.values() if len(group) > 1]


def _size(file: Path) -> int:
    return file.stat().st_size


def _tail(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - _TAIL))
        return opened.read(_TAIL)


def _whole(file: Path) -> bytes:
    digest = sha256()
    with file.open("rb") as opened:
        while piece := opened.read(2**20):
            digest.update(piece)
    return digest.digest()


def _link_equal(labels: Int64[np.ndarray, " n"], digests: Iterable[bytes]) -> None:
    first: dict[bytes, int] = {}
    rows = np.array([first.setdefault(digest, row) for row, digest in enumerate(digests)], dtype=np.int64)
    link(labels, rows, np.arange(len(rows)))


def _together(labels: NDArray[np.int64], known: Iterable[tuple[int, ...]] = ()) -> list[list[int]]:
    """The rows of each label that several rows share, without sets that are known."""
    order = np.argsort(labels, kind="stable")
    edges = np.flatnonzero(np.diff(labels[order])) + 1
    groups = [part.tolist() for part in np.split(order, edges) if len(part) > 1]
    return [group for group in groups if tuple(group) not in known]
