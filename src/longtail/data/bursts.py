"""Images that were taken in one go, as far as their names and EXIF say so: bursts, and frames of a video."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

GAP = 5.0  # seconds between two images of a burst
LENGTH = 60.0  # seconds between its first image and its last
STEP = 5  # by which names count up at most from one to the next
MOST = (
    50  # images of one folder and camera that may all have one single time; of more the clock was never set
)
_CLOCK = re.compile(r"(?<!\d)((?:19|20)\d{6})[T _-]?([0-2]\d[0-5]\d[0-5]\d)(\d{3})?(?!\d)")
_COUNTER = re.compile(r"\d+(?=\D*$)")
_FRAME = re.compile(r"(.*[^\W_].*?)[ _.-]*frames?[ _.-]*\d+", re.IGNORECASE)


class _Named(NamedTuple):
    """What the name of an image says.

    Attributes:
        stem: its folder, and the name without time and counter.
        taken: the time in it, in seconds; nan: none.
        counter: the last number in it; None: none.
    """

    stem: tuple[str, str]
    taken: float
    counter: int | None


class Bursts(NamedTuple):
    """What was taken in one go.

    Attributes:
        together: rows of each set in order, the sets by their first row.
        one_time: rows of images that would be a burst, but for their clock, which was never set.
    """

    together: list[list[int]]
    one_time: list[list[int]]


def find_bursts(names: Sequence[str], taken: Float64[np.ndarray, " n"], cameras: Sequence[str]) -> Bursts:
    """Sets of images that were taken in one go.

    A burst: images of one folder and one camera, whose names count up after an equal stem or hold a time, each taken
    at most GAP seconds after the one before, and LENGTH seconds after the first. Frames of a video: files called
    STEM_frame_NUMBER in a folder with several such stems. Names that count up alone say nothing, nor does a clock that
    was never set: it shows one single time for all images of a folder and camera, if these are more than MOST.

    Args:
        names: of N images, with `/` between folders.
        taken: when, by EXIF, in seconds; nan where that is not known.
        cameras: make and model; "" where they are not known.

    >>> find_bursts(["a/IMG_1.jpg", "a/IMG_2.jpg", "a/IMG_3.jpg"], np.array([5.0, 6.0, 60.0]), ["x"] * 3)
    Bursts(together=[[0, 1]], one_time=[])
    """
    alike: dict[object, list[tuple[float, int, int]]] = defaultdict(list)
    for row, name in enumerate(names):
        said, time = _read(name), float(taken[row])
        if math.isnan(time):
            time, counter = said.taken, said.counter or 0
        elif said.counter is None:
            continue
        else:
            counter = said.counter
        if not math.isnan(time):
            alike[said.stem, cameras[row], math.isnan(taken[row])].append((time, counter, row))
    found, unset = list[list[int]](), list[list[int]]()
    for images in map(sorted, alike.values()):
        is_set = len(images) <= MOST or images[0][0] != images[-1][0]
        (found if is_set else unset).extend(_runs(images))
    together = [*(sorted(burst) for burst in found if len(burst) > 1), *_frames(names)]
    return Bursts(sorted(together), sorted(sorted(burst) for burst in unset if len(burst) > 1))


def _runs(images: Sequence[tuple[float, int, int]]) -> list[list[int]]:
    """Rows of (time, counter, row), in order of time, that follow each other closely."""
    runs: list[list[int]] = []
    begun = last = -math.inf
    number = 0
    for time, counter, row in images:
        if time - last > GAP or time - begun > LENGTH or abs(counter - number) > STEP:
            runs.append([])
            begun = time
        runs[-1].append(row)
        last, number = time, counter
    return runs


def _read(name: str) -> _Named:
    path = PurePosixPath(name)
    stem, clock, taken = path.stem, _CLOCK.search(path.stem), math.nan
    if clock is not None:
        with suppress(ValueError):
            moment = datetime.strptime(clock[1] + clock[2], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            taken = moment.timestamp() + int(clock[3] or 0) / 1000
            stem = stem[: clock.start()] + stem[clock.end() :]
    counter = _COUNTER.search(stem)
    number = None if counter is None or len(counter[0]) > 18 else int(counter[0])
    if counter is not None:
        stem = stem[: counter.start()] + stem[counter.end() :]
    return _Named((str(path.parent), stem.strip(" _-().")), taken, number)


def _frames(names: Sequence[str]) -> list[list[int]]:
    """Frames of each video, where a folder has those of several."""
    rows = []
    for row, name in enumerate(names):
        path = PurePosixPath(name)
        if (match := _FRAME.fullmatch(path.stem)) is not None:
            rows.append((str(path.parent), match[1], row))
    rows.sort()
    found = []
    for _, inside in groupby(rows, key=lambda one: one[0]):
        videos = [[row for *_, row in frames] for _, frames in groupby(inside, key=lambda one: one[1])]
        if len(videos) > 1:
            found += [frames for frames in videos if len(frames) > 1]
    return found
