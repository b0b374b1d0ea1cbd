"""Predict with an exported file and nothing else of longtail: numpy, Pillow and onnxruntime are enough.

    python onnxruntime_only.py model.onnx IMAGE...

Prints a CSV table: path, label, confidence, and the share of the experts that agree.
"""

import csv
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read_square(path: str, size: int) -> np.ndarray:
    """The centre square of an image as uint8 (3, size, size), turned upright; nothing is normalised."""
    with Image.open(path) as opened:
        is_png, image = opened.format == "PNG", ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16") or (
        image.mode == "I" and is_png
    ):  # 16 bits a value: keep the upper eight
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):  # of which nobody knows what is black and what is white
        raise ValueError("32 bits a value, not 8 or 16")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("RGB")
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side)
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(square).transpose(2, 0, 1)


def main(model: str, paths: list[str]) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["path", "label", "confidence", "agreement"])
    for start in range(0, len(paths), 64):
        chunk = paths[start : start + 64]
        images = {}
        for path in chunk:
            try:
                images[path] = read_square(path, about["image_size"])
            except (OSError, ValueError) as error:
                print(f"left out: {path} ({error})", file=sys.stderr)
        if not images:
            continue
        given = {"image": np.stack(list(images.values()))}
        probabilities, experts = session.run(None, given)  # (images, C) and (experts, images, C)
        best, votes = probabilities.argmax(axis=-1), experts.argmax(axis=-1)
        for row, path in enumerate(images):
            agreement = (votes[:, row] == best[row]).mean()
            confidence = probabilities[row, best[row]]
            table.writerow([path, about["classes"][best[row]], f"{confidence:.6f}", f"{agreement:.6f}"])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python onnxruntime_only.py model.onnx IMAGE...")
    main(sys.argv[1], sys.argv[2:])
