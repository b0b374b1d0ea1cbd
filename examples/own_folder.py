"""From a folder of images to a file to deploy: check, split, train, report, predict, export.

    python own_folder.py [PHOTOS] [--out DIR] [--model NAME] [--epochs N]

PHOTOS has a folder for each class. Without it, a small long-tailed folder of handwritten digits is made.
"""

import argparse
import shlex
import sys
from pathlib import Path

from longtail import InputError, load, train
from longtail.cli.main import main as command_line

COUNTS = (90, 70, 50, 36, 26, 18, 12, 8, 6, 4)  # images of the digits 0, 1, ..., 9


def make_digits(folder: Path) -> None:
    """Write scikit-learn's digits as PNG files, in a folder for each class."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for target, count in enumerate(COUNTS):
        home = folder / f"digit {target}"
        home.mkdir(parents=True)
        for row in np.flatnonzero(digits.target == target)[:count]:
            grey = np.rint(digits.images[row] * (255 / 16)).astype(np.uint8)
            Image.fromarray(grey).save(home / f"{row:04}.png")


def run(*words: str | Path) -> None:
    """A command of longtail's, shown as it would be typed."""
    given = [str(word) for word in words]
    print(f"\n$ longtail {shlex.join(given)}", flush=True)
    if status := command_line(given):
        sys.exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="?", type=Path, help="folder with a folder for each class")
    parser.add_argument("--out", type=Path, default=Path("runs/own-folder"), help="where everything goes")
    parser.add_argument("--model", help="network, such as resnet32; default: chosen from the images")
    parser.add_argument("--epochs", type=int, help="length of the run; default: chosen from the images")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists; choose another --out")
    photos = args.photos or args.out / "digits"
    if args.photos is None:
        make_digits(photos)

    run("data", "check", photos)
    table = args.out / "split.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    run("data", "split", photos, "-o", table, "--test", "0.25")

    print("\ntraining", flush=True)
    trained = train(table, model=args.model, epochs=args.epochs, out=args.out / "run", quiet=True)
    metrics = trained.metrics
    print(f"{trained}: {metrics['overall']:.1%} right, {metrics['macro']:.1%} as the mean of the classes")
    run("report", trained.path)

    predictions = load(trained.path).predict(photos)
    doubtful = predictions.sort_values(["agreement", "confidence"]).head(5)
    print("\nin need of review:")
    print(doubtful[["label", "confidence", "agreement", "path"]].to_string(index=False, float_format="%.2f"))
    run("export", trained.path, "--format", "onnx")
    run("predict", trained.path / "export" / "model.onnx", photos, "-o", args.out / "predictions.csv")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
