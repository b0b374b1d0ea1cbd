"""The image sets of first_folder.py: train/CLASS and test/CLASS folders of files, made from public sources.

Each cut is the first images of a class, in the order of its source; nothing is drawn by chance. Classes get fewer
images in geometric steps, from `largest` in the first to largest / imbalance in the last.
"""

import gzip
import io
import json
import shutil
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits


class Cut(NamedTuple):
    """How much of a source is taken: the whole set, and its small form for a look in a minute or two."""

    source: str
    largest: int
    imbalance: float
    tested: int
    small: tuple[int, int]  # largest and tested


SETS = {
    "digits": Cut("digits", 100, 20, 50, (60, 20)),
    "fashion-mnist": Cut("fashion-mnist", 300, 50, 50, (100, 20)),
    "cifar10": Cut("cifar10-lt10", 300, 50, 50, (100, 20)),
    "cifar100": Cut("cifar100-lt10", 200, 50, 50, (60, 20)),
    "ham10000-tenth": Cut("ham10000_lt", 0, 0, 100, (0, 20)),
    "ham10000": Cut("ham10000_lt", 0, 0, 20, (0, 20)),
}
CIFAR100_EVERY = 5  # of the 100 classes
TENTH_LEAST = 4  # images that a class keeps
HELD = 1000  # images of a set that settings are chosen on


class MissingSourceError(Exception):
    """A source is not where it was said to be."""


def long_tail(classes, largest, imbalance):
    """Images of each class, most first."""
    return [max(1, round(largest * imbalance ** (-c / (classes - 1)))) for c in range(classes)]


def make(name, data, fashion, out, *, small=False, held=False):
    """Write a set; returns its folder. One that is complete is left as it is.

    Args:
        name: a key of SETS.
        data: folder with ham10000_lt, cifar10-lt10 and cifar100-lt10, or None.
        fashion: folder with the four IDX files of Fashion-MNIST, or None.
        out: where sets go.
        small: the small form.
        held: the test part holds training images of the source that the cut leaves out, so that settings can be
            chosen by them; of ham10000, which leaves none out, there is no such form.

    Raises:
        MissingSourceError: the source is not there.
    """
    cut = SETS[name]
    place = out / f"{name}{'-small' * small}{'-held' * held}"
    if (place / "test").is_dir():
        return place
    if small:
        cut = cut._replace(largest=cut.small[0], tested=cut.small[1])
    unfinished = out / f".{place.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    write = {"digits": _digits, "fashion-mnist": _fashion}.get(name, _cifar if "cifar" in name else _ham)
    source = fashion if name == "fashion-mnist" else _there(data, cut.source)
    write(cut, source, unfinished, name, small, held)
    unfinished.rename(place)
    return place


def _there(data, source):
    if source == "digits":
        return None
    if data is None or not (data / source).is_dir():
        raise MissingSourceError(f"{source} is not in the folder --data")
    return data / source


def _long_tailed(cut, names, images_of, out, held):
    """Train and test folders of one class after the other; `images_of(part, c)` gives images or encoded bytes."""
    counts = long_tail(len(names), cut.largest, cut.imbalance)
    for part in ("train", "test"):  # test last: it says that the set is complete
        for c, name in enumerate(names):
            folder, number = out / part / name, counts[c] if part == "train" else cut.tested
            folder.mkdir(parents=True)
            if held and part == "test":
                images = images_of("train", c)[counts[c] :][-HELD // len(names) :]
                number = len(images)
            else:
                images = images_of(part, c)[:number]
            if len(images) < number:
                raise ValueError(f"{name} has {len(images)} images of {part}, not {number}")
            for index, image in enumerate(images):
                picture = (
                    image if isinstance(image, np.ndarray) else np.asarray(Image.open(io.BytesIO(image)))
                )
                Image.fromarray(picture).save(folder / f"{index:04d}.png")


def _digits(cut, _, out, name, small, held):
    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)

    def images_of(part, c):
        rows = np.flatnonzero(digits.target == c)
        return grey[rows[-50:] if part == "test" else rows[:-50]]

    _long_tailed(cut, [str(c) for c in range(10)], images_of, out, held)


def _fashion(cut, source, out, name, small, held):
    if source is None or not list(source.glob("train-images*")):
        raise MissingSourceError("Fashion-MNIST is not in the folder --fashion")
    names = ["tshirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
    parts = {
        part: (_idx(source, f"{prefix}-images", 16).reshape(-1, 28, 28), _idx(source, f"{prefix}-labels", 8))
        for part, prefix in (("train", "train"), ("test", "t10k"))
    }
    _long_tailed(cut, names, lambda part, c: parts[part][0][parts[part][1] == c], out, held)


def _idx(source, prefix, header):
    path = next(source.glob(f"{prefix}*"))
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return np.frombuffer(raw, np.uint8, offset=header)


def _cifar(cut, source, out, name, small, held):
    column = "fine_label" if name == "cifar100" else "label"
    tables = {part: pq.read_table(next(source.glob(f"{part}-*"))) for part in ("train", "test")}
    features = json.loads(tables["train"].schema.metadata[b"huggingface"])["info"]["features"]
    names = features[column]["names"]
    chosen = range(0, len(names), CIFAR100_EVERY if name == "cifar100" else 1)
    labels = {part: table.column(column).to_numpy() for part, table in tables.items()}

    def images_of(part, c):
        rows = tables[part].column("img").take(np.flatnonzero(labels[part] == chosen[c]))
        return [image["bytes"] for image in rows.to_pylist()]

    _long_tailed(cut, [names[c] for c in chosen], images_of, out, held)


def _ham(cut, source, out, name, small, held):
    """The set as it is, or a tenth of every class; what that leaves out is tested too, up to `tested`."""
    share = {"ham10000": 0.25 if small else 1, "ham10000-tenth": 0.1}[name]
    for folder in sorted((source / "train").iterdir()):
        files, tested = sorted(folder.iterdir()), sorted((source / "test" / folder.name).iterdir())
        kept = len(files) if share == 1 else max(TENTH_LEAST, round(share * len(files)))
        parts = {"train": files[:kept], "test": (tested + files[kept:])[: cut.tested]}
        if held:  # rare classes have none that is not tested
            parts["test"] = files[kept:][max(0, cut.tested - len(tested)) :][-HELD // 10 :]
        for part, chosen in parts.items():
            (out / part / folder.name).mkdir(parents=True)
            for file in chosen:
                shutil.copyfile(file, out / part / folder.name / file.name)
