"""How far to trust "look alike": false alarms among images of a set, and changed copies of them that are found.

    python benchmarks/near_duplicates.py PATH [--images 150]
    python benchmarks/near_duplicates.py --scale 100000

PATH is a set in any form. What is said to look alike in it is counted (see it with `longtail data check PATH --all`),
then copies of some images are changed in known ways. --scale times the search alone, on made-up hashes.
"""

import argparse
import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from longtail.data.audit import check
from longtail.data.audit.look import look
from longtail.data.near import alike
from longtail.data.opening import UnreadableError, turn_upright
from longtail.data.options import DataOptions
from longtail.data.repairing import with_image
from longtail.data.source_kinds import read_source, source_of


def jpeg(image: Image.Image, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    x, y = round(width * share / 2), round(height * share / 2)
    return image.crop((x, y, width - x, height - y))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "half the size": lambda image: jpeg(image.resize((image.width // 2, image.height // 2))),
    "JPEG quality 30": lambda image: jpeg(image, 30),
    "20 % brighter": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.2)),
    "30 % less contrast": lambda image: jpeg(ImageEnhance.Contrast(image).enhance(0.7)),
    "3 % cut away": lambda image: jpeg(cropped(image, 0.03)),
    "10 % cut away": lambda image: jpeg(cropped(image, 0.1)),
    "mirrored": lambda image: jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--scale", type=int, default=0)
    words = parser.parse_args()
    if words.scale:
        rng = np.random.default_rng(0)
        hashes = rng.integers(0, 2**64, words.scale, dtype=np.uint64)
        thumbs = rng.integers(0, 256, (words.scale, 256), dtype=np.uint8)
        start = time.perf_counter()
        alike(hashes, thumbs)
        print(f"{words.scale:,} images compared in {time.perf_counter() - start:.1f} s")
    if words.path:
        measure(words.path, words.images)


def measure(path: Path, count: int) -> None:
    audit = check(path)
    images = sum(sum(counts.values()) for counts in audit.counts.values())
    kinds = [found.kind for found in audit.duplicates]
    print(
        f"{images:,} images, {images * (images - 1) // 2:,} pairs: {kinds.count('near')} sets that look alike"
    )
    source = read_source(DataOptions(name=source_of(path), path=str(path)))
    listing = next(part for part in (source.train, source.val, source.test) if part is not None)
    rows = sorted(random.Random(0).sample(range(len(listing.ids)), min(count, len(listing.ids))))
    found, count = dict.fromkeys(CHANGES, 0), 0
    for encoded in listing.fetch(np.array(rows)):
        try:
            image, _ = with_image(encoded, turn_upright)
        except UnreadableError:  # the check names the file
            continue
        count += 1
        for name, change in CHANGES.items():
            pair = [look(encoded).fingerprint, look(change(image)).fingerprint]
            hashes = np.array([one.hash for one in pair], dtype=np.uint64)
            found[name] += len(alike(hashes, np.stack([one.thumb for one in pair])))
    for name, number in found.items():
        print(f"{name:<20} {number:,} of {count:,} found")


if __name__ == "__main__":
    main()
