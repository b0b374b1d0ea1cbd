"""Predict with an exported file and nothing else of longtail: numpy, Pillow and onnxruntime are enough.

    python onnxruntime_only.py model.onnx IMAGE...

Prints a CSV table: path, label, confidence, and the share of the experts that agree. An image that cannot be read is
left out and named, the others are answered, and the exit status is 1. longtail itself also reads images that are
damaged beside their pixels, without an end mark for instance; see docs/data.md.
"""

import csv
import json
import sys
import warnings
from collections.abc import Sequence

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters of them is said by image
Image.init()
FORMATS = [  # those of longtail that this Pillow reads; none runs a program
    name
    for name in [
        "JPEG",
        "PNG",
        "WEBP",
        "TIFF",
        "BMP",
        "DIB",
        "GIF",
        "PPM",
        "JPEG2000",
        "QOI",
        "PCX",
        "ICO",
        "TGA",
        "AVIF",
    ]
    if name in Image.OPEN
]


def read_square(
    path: str, size: int, bits: int = 16, fit: str = "crop", mean: Sequence[float] = (0, 0, 0)
) -> np.ndarray:
    """An image as uint8 (3, size, size), turned upright; nothing is normalised.

    `fit` crop: its centre square; pad: all of it between borders of the mean colour; squash: all of it.
    Of images of 16 bits a value, `bits` count, as in training; white is 2**bits - 1.
    """
    with Image.open(path, formats=FORMATS) as opened:
        tile = opened.tile[0] if opened.tile else ("", (), 0, "")
        raw = str(tile[3][0] if isinstance(tile[3], tuple) else tile[3])
        opened.load()
        is_deep = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in ("PNG", "PPM"))
        states_white = tile[0].startswith("ppm") or opened.format == "JPEG2000"
        image = shown = upright(opened, path)
    if is_deep:
        used = 12 if raw == "I;12" else 16 if states_white else bits
        image = Image.fromarray(np.minimum(np.asarray(image) >> (used - 8), 255).astype(np.uint8))
    elif ";16" in raw:  # of colours Pillow has kept the upper eight bits
        colours = np.asarray(image.convert("RGB")).astype(np.int32)
        image = Image.fromarray(np.minimum(colours << (16 - bits), 255).astype(np.uint8))
    if image.mode in ("I", "F"):  # of which nobody knows what is black and what is white
        raise ValueError("32 bits a value or signed, not 8 or 16")
    image = on_white(shown, image.convert("RGB"))
    if fit == "pad":
        color = tuple(round(255 * value) for value in mean)
        return planes(ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR, color=color))
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side) if fit == "crop" else None
    return planes(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def on_white(image: Image.Image, rgb: Image.Image) -> Image.Image:
    """`rgb` on white where `image` is transparent, unless it is so everywhere."""
    if image.has_transparency_data and image.mode in ("1", "L", "P", "PA", "RGB"):
        image = image.convert("RGBA")
    if not image.has_transparency_data or image.mode == "RGB":
        return rgb
    opacity = image.getchannel(image.getbands()[-1])
    if opacity.getextrema()[1] == 0:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=opacity)
    return white


def planes(square: Image.Image) -> np.ndarray:
    return np.asarray(square).transpose(2, 0, 1)


def upright(image: Image.Image, path: str) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        print(f"{path}: damaged EXIF, so not turned upright", file=sys.stderr)
        return image.copy()


def main(model: str, paths: list[str]) -> int:
    """Answers for every image that can be read; 1 where one was left out, else 0."""
    left_out = 0
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    sys.stdout.reconfigure(
        encoding="utf-8", errors="surrogateescape", newline=""
    )  # names, whatever the console
    table = csv.writer(sys.stdout)  # ends rows with \r\n, for else it leaves a lone \r in a name unquoted
    table.writerow(["path", "label", "confidence", "agreement"])
    for start in range(0, len(paths), 64):
        chunk = paths[start : start + 64]
        images = {}
        for path in chunk:
            try:
                images[path] = read_square(
                    path, about["image_size"], about.get("bits", 16), about.get("fit", "crop"), about["mean"]
                )
            except Exception as error:  # Pillow raises whatever a damaged file leads it into
                left_out += 1
                print(f"left out: {path} ({str(error) or type(error).__name__})", file=sys.stderr)
        if not images:
            continue
        given = {"image": np.stack(list(images.values()))}
        probabilities, experts = session.run(None, given)  # (images, C) and (experts, images, C)
        best, votes = probabilities.argmax(axis=-1), experts.argmax(axis=-1)
        for row, path in enumerate(images):
            agreement = (votes[:, row] == best[row]).mean()
            confidence = probabilities[row, best[row]]
            table.writerow([path, about["classes"][best[row]], f"{confidence:.6f}", f"{agreement:.6f}"])
    if left_out:
        print(f"{left_out} of {len(paths)} images left out", file=sys.stderr)
    return 1 if left_out else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python onnxruntime_only.py model.onnx IMAGE...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
