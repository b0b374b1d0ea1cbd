"""Loading at 224 px on two cores: the library's batches against torchvision's ImageFolder in a DataLoader.

    python benchmarks/loader.py [--data DIR] [--images 1200] [--rounds 5] [--json FILE]

Both sides read JPEG files, crop at random to 224 px, flip, and end with normalised float batches of 64; the
library also from a packed set of the same files. DIR holds class folders or train/ (default: made-up pictures);
its images are used as they are and as copies of 500 x 375 pixels, the size of ImageNet's. Then: what `data.draft`
changes, and whether memory and the CPU time of a step stay the same as epochs pass and sets grow.
"""

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from longtail.augment import Augment
from longtail.data import DataOptions, batches, epoch_order, load_data
from longtail.data.images import decode_box, walk_images
from longtail.data.packed_set import write_manifest, write_part
from longtail.data.packing import pack
from record import about, table, tell

SIDE, BATCH, WORKERS = 224, 64, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROWS, EPOCHS = (1_000, 10_000, 100_000), 3


def made_up(count):
    """Smooth pictures with some noise: as files they are about as large as photographs."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = smooth + rng.normal(0, 6, smooth.shape)
        yield f"class {number % 2}", Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def chosen(data, count):
    """(class, path) of `count` JPEG files, evenly out of all of them."""
    root = data / "train" if (data / "train").is_dir() else data
    paths = [path for path in walk_images(root) if path.suffix.lower() in (".jpg", ".jpeg")]
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return [(paths[place].relative_to(root).parts[0], paths[place]) for place in places]


def write_sets(data, count, folder):
    """Name -> a tree of JPEG files."""
    sets = {}
    if data is not None:
        for name, path in chosen(data, count):
            copy = folder / "as they are" / name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        sets["as they are"] = folder / "as they are"
    pictures = (
        made_up(count)
        if data is None
        else (
            (name, Image.open(path).convert("RGB").resize((500, 375), Image.Resampling.BICUBIC))
            for name, path in chosen(data, count)
        )
    )
    for number, (name, picture) in enumerate(pictures):
        file = folder / "500 x 375" / name / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file, quality=90)
    return sets | {"500 x 375": folder / "500 x 375"}


def library(path, name, size=SIDE, workers=WORKERS):
    """A function that loads one epoch, step by step."""
    options = DataOptions(name=name, path=str(path), image_size=size, augment=("resized_crop", "flip"))
    data = load_data(options)
    augment = Augment(options.augment, MEAN, STD)

    def epoch(number):
        targets, classes = data.train.targets, len(data.class_names)
        order = epoch_order("instance", targets, classes, seed=0, epoch=number, epochs=100)
        key = {"seed": 0, "epoch": number}
        views = [partial(augment.boxes, keys=augment.keys(0, number, 0, "cpu"))]
        for batch in batches(data.train, order, BATCH, "cpu", workers=workers, views=views):
            yield augment(batch.image, batch.index, **key, cropped=True)

    return epoch


def usual(path, workers):
    """The same with torchvision."""
    steps = [
        transforms.RandomResizedCrop(SIDE),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    images = torchvision.datasets.ImageFolder(str(path), transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(
        images, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    return lambda number: (image for image, _ in loader)


def compare(path, packed, rounds):
    """Images a second of each side, alternating, after one warm-up round; and the ratios to the usual way."""
    sides = {
        "library, JPEG files": library(path, "folder"),
        "library, packed": library(packed, "packed"),
        "torchvision, 2 workers": usual(path, WORKERS),
        "torchvision, 0 workers": usual(path, 0),
    }
    speeds = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, epoch in sides.items():
            started = time.perf_counter()
            images = sum(len(batch) for batch in epoch(number))
            if number:
                speeds[name].append(images / (time.perf_counter() - started))
    plain = speeds["torchvision, 2 workers"]
    ratios = {n: [a / b for a, b in zip(s, plain, strict=True)] for n, s in speeds.items() if "library" in n}
    return {
        "images": images,
        "images_per_s": {name: statistics.median(values) for name, values in speeds.items()},
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratio_min": {name: min(values) for name, values in ratios.items()},
        "ratio_max": {name: max(values) for name, values in ratios.items()},
        "all_images_per_s": speeds,
    }


def draft_levels(size=100, boxes=200):
    """Grey levels between boxes with and without `data.draft`, on scikit-learn's two photographs of 640 x 427."""
    folder = Path(sklearn.datasets.__file__).parent / "images"
    augment = Augment(("resized_crop",), MEAN, STD)
    keys = augment.keys(0, 0, 0, "cpu")
    distances, count = [], 0
    for file in (folder / "china.jpg", folder / "flower.jpg"):
        width, height = Image.open(file).size
        index, sizes = torch.arange(boxes), torch.tensor([[height, width]]).expand(boxes, 2)
        for box in map(tuple, augment.boxes(index, sizes, keys).tolist()):
            if min(box[2:]) >= 2 * size:
                exact, drafted = (decode_box(file, box, size, draft=draft).int() for draft in (False, True))
                distances.append((exact - drafted).abs().flatten())
                count += 1
    levels = torch.cat(distances).float().sort().values
    return {
        "size": size, "boxes": count, "mean": float(levels.mean()),
        "99 of 100 below": float(levels[int(0.99 * len(levels))]), "largest": float(levels[-1]),
    }  # fmt: skip


def resident():
    """MiB of memory that the process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def growth(folder):
    """Memory after each epoch and median CPU time of a step, for made-up packed sets of several lengths."""
    pixels, rows = np.random.default_rng(0).integers(0, 256, (64, 24, 32, 3), dtype=np.uint8), []
    for count in ROWS:
        root = folder / f"{count} rows"
        root.mkdir()
        images = ((f"{row}.png", row % 10, pixels[row % 64], row) for row in range(count))
        part = write_part(root, "train", [f"class {c}" for c in range(10)], images)
        write_manifest(root, {"train": part | {"unreadable": []}}, short_side=24, source="", is_flat=True)
        epoch, memory, steps = library(root, "packed", size=24, workers=0), [], []
        for number in range(EPOCHS):
            before = time.process_time()
            for _ in epoch(number):
                steps.append(time.process_time() - before)
                before = time.process_time()
            memory.append(resident())
        rows.append({"rows": count, "ms_a_step": 1e3 * statistics.median(steps), "mib_after_epochs": memory})
    return rows


def tables(result):
    made = []
    for name, row in result["sets"].items():
        lines = []
        for side, speed in row["images_per_s"].items():
            ratios = [row[key].get(side) for key in ("ratio", "ratio_min", "ratio_max")]
            spread = "" if None in ratios else "{:.2f} ({:.2f}-{:.2f})".format(*ratios)
            lines.append([side, f"{speed:.0f}", spread])
        title = f"loading at {SIDE} px on two cores, files {name}"
        made.append(table(title, ["", "images per second", "ratio to 2 workers (min-max)"], lines))
    draft = [[name, f"{value:g}"] for name, value in result["draft"].items()]
    made.append(table("grey levels that data.draft changes", ["", ""], draft))
    lines = [
        [
            f"{row['rows']:,}",
            f"{row['ms_a_step']:.2f}",
            ", ".join(f"{v:.0f}" for v in row["mib_after_epochs"]),
        ]
        for row in result["growth"]
    ]
    return [*made, table("packed sets as they grow", ["rows", "ms of a step", "MiB after each epoch"], lines)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="class folders of JPEG files")
    parser.add_argument("--images", type=int, default=1200, help="files to use")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds after one warm-up round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = about("loader.py")
    with tempfile.TemporaryDirectory() as name:
        folder, result["sets"] = Path(name), {}
        result["growth"] = growth(folder)
        for kind, path in write_sets(arguments.data, arguments.images, folder).items():
            packed = folder / f"{kind}, packed"
            pack(path, packed)
            result["sets"][kind] = compare(path, packed, arguments.rounds)
    result |= {"draft": draft_levels(), "batch_size": BATCH, "side": SIDE, "threads": WORKERS}
    result["tables"] = tables(result)
    tell(arguments.json, result)


if __name__ == "__main__":
    sys.exit(main())
