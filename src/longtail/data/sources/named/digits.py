"""scikit-learn's 1,797 handwritten digits: real images that need no download."""

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
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    pixels = np.repeat(grey[..., None], 3, axis=-1)
    targets = digits.target.astype(np.int64)
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


FORM = SourceForm(
    "1,797 handwritten digits of 8x8 pixels that come with scikit-learn, 10 classes",
    lambda place: read_digits(),
    needs_path=False,
)
