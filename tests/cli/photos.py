"""Trees of class folders."""

from pathlib import Path

import numpy as np
from PIL import Image

from longtail.data.sources.named.digits import digit_rows


def make_photos(root: Path, parts: dict[str, dict[str, int]]) -> Path:
    """A tree of class folders with random images; the part "" is the root itself."""
    rng = np.random.default_rng(0)
    for part, classes in parts.items():
        for name, count in classes.items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name} {number}.png")
    return root


def write_digits(root: Path, count: int) -> Path:
    """The last images of each digit, as PNG files in class folders; up to `TESTED` are in no run's training split."""
    table = digit_rows()
    grey = np.rint(table[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    for c in range(10):
        (root / str(c)).mkdir()
        for row in np.flatnonzero(table[:, 64] == c)[-count:]:
            Image.fromarray(grey[row]).convert("RGB").save(root / str(c) / f"{row}.png")
    return root
