"""Made-up trees of class folders."""

from pathlib import Path

import numpy as np
from PIL import Image


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
