"""scikit-learn's 1,797 handwritten digits: real images that need no download."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from longtail.data.listing import Listing, Source
from longtail.data.source_form import SourceForm

TEST_PER_CLASS = 50
CLASS_NAMES = tuple("0123456789")


def read_digits() -> Source:
    """The 8x8 digits as RGB; of each class the last 50 in file order are the test split.

    Returns:
        A source whose largest class defaults to 120 of the 124 or more there are.
    """
    rows = digit_rows()
    grey = np.rint(rows[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    pixels = np.repeat(grey[..., None], 3, axis=-1)
    targets = rows[:, 64].astype(np.int64)
    test = np.sort(np.concatenate([np.flatnonzero(targets == c)[-TEST_PER_CLASS:] for c in range(10)]))
    train = np.setdiff1d(np.arange(len(targets)), test)

    def part(name: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Listing:
        ids = tuple(f"{name}/{row}" for row in rows)
        return Listing(CLASS_NAMES, targets[rows], ids, lambda chosen: iter(pixels[rows[chosen]]))

    return Source(
        part("train", train),
        test=part("test", test),
        image_size=8,
        mean=(0.3053,) * 3,
        std=(0.3760,) * 3,
        max_count=120,
    )


def digit_rows() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """scikit-learn's table of digits (1797, 65): 64 grey levels in [0, 16] and the digit.

    Its file is read without importing scikit-learn, which loads SciPy's statistics and pandas (some 3 CPU seconds);
    where a version keeps it elsewhere, scikit-learn reads it.
    """
    package = importlib.util.find_spec("sklearn")
    for place in (package and package.submodule_search_locations) or ():
        if (file := Path(place, "datasets", "data", "digits.csv.gz")).is_file():
            return _read(file)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack((digits.data, digits.target))


@cache
def _read(file: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    table = np.loadtxt(file, delimiter=",")
    table.setflags(write=False)
    return table


FORM = SourceForm(
    "1,797 handwritten digits of 8x8 pixels that come with scikit-learn, 10 classes",
    lambda place: read_digits(),
    needs_path=False,
)
