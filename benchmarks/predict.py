"""Predictions for image files: the library against the plain loop that one would write, on the same weights.

    python benchmarks/predict.py [--images 512] [--rounds 5] [--json FILE]

The plain loop: PIL, torchvision's Resize, CenterCrop, ToTensor and Normalize in a DataLoader without workers, the
network in eval mode as it was trained, batches of 64, the softmax of the mean logits. Photographs are made up: JPEG
files of 192 x 192 and of 640 x 480 pixels; the network is ResNet-32 with 3 experts at 32 pixels. Both sides have to
agree to 1e-5 where both sides resize alike (the square files), or the program stops.
"""

import argparse
import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from longtail import load, train
from record import about, judge, table, targets_table, tell
from timing import compare

SIZES = ((192, 192), (640, 480))
SIDE, BATCH = 32, 64


def photographs(folder, count, size, seed=0):
    """Smooth random pictures of two classes, as JPEG files in class folders."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        file = Path(folder) / f"class {number % 2}" / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize(size, Image.Resampling.BICUBIC).save(file, quality=90)


class Files(Dataset):
    """Pictures as the usual transforms show them."""

    def __init__(self, paths, mean, std):
        self.paths = paths
        self.transform = T.Compose([T.Resize(SIDE), T.CenterCrop(SIDE), T.ToTensor(), T.Normalize(mean, std)])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


@torch.no_grad()
def plain_loop(model, bank, paths, mean, std):
    """Probabilities (N, C)."""
    loader = DataLoader(Files(paths, mean, std), batch_size=BATCH)
    return torch.cat([model(image, bank).logits.mean(dim=0).softmax(dim=-1) for image in loader])


def classifier_of(folder):
    """A classifier with the weights of a run of one epoch on a few pictures."""
    photographs(folder / "few", 16, (40, 40))
    recipe = {
        "model.name": "resnet32",
        "data.image_size": SIDE,
        "optim.batch_size": 16,
        "data.validation": 0.0,
    }
    changes = recipe | {"method.name": "cross_entropy", "model.num_experts": 3}
    run = train(folder / "few", epochs=1, out=folder / "run", set=changes, quiet=True)
    return load(run.path)


def measure(folder, count, rounds):
    """Compared seconds by size of the files."""
    classifier, rows = classifier_of(folder), {}
    described, model = classifier.description, copy.deepcopy(classifier.model)
    model = model.to(memory_format=torch.contiguous_format).eval()
    for width, height in SIZES:
        place = folder / f"{width} x {height}"
        photographs(place, count, (width, height), seed=1)
        paths = sorted(place.rglob("*.jpg"))
        words = (model, described["bank"], paths, described["mean"], described["std"])
        if width == height:
            off = np.abs(classifier.predict_proba(paths) - plain_loop(*words).numpy()).max()
            if off > 1e-5:
                raise SystemExit(f"the two sides differ by {off:.1e}; the times mean nothing")
        row = compare(lambda p=paths: classifier.predict(p), lambda w=words: plain_loop(*w), rounds)
        rows[f"{width} x {height}"] = row | {"images": count}
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    result = about("predict.py")
    with TemporaryDirectory() as folder:
        rows = measure(Path(folder), args.images, args.rounds)
    lines = [
        [name, *(f"{row['images'] / row[key]:.0f}" for key in ("library_s", "reference_s")),
         f"{row['ratio']:.2f}", f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}"]
        for name, row in rows.items()
    ]  # fmt: skip
    title = f"predictions for JPEG files: images per second, medians of {args.rounds} alternating rounds"
    found = [judge("predict", row["ratio"], name) for name, row in rows.items()]
    tables = [
        targets_table(found),
        table(title, ["files", "library", "plain loop", "ratio", "min-max"], lines),
    ]
    result |= {"rows": rows, "tables": tables, "targets": found}
    tell(args.json, result)


if __name__ == "__main__":
    main()
