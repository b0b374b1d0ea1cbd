"""How images that are not square become squares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from longtail.data import DataOptions, load_data
from longtail.data.framing import CROP, Framing, framing_of
from longtail.data.images import decode
from longtail.types import InputError

FILL = (10, 20, 30)


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def planes(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.parametrize(("height", "width"), [(36, 64), (64, 36), (50, 10)])
def test_whole_images_are_what_pillow_makes_of_them(height: int, width: int) -> None:
    image, bilinear = picture(height, width), Image.Resampling.BILINEAR
    squashed = decode(np.asarray(image), 16, framing=Framing("squash"))
    assert np.array_equal(squashed, planes(image.resize((16, 16), bilinear)))
    short = round(16 * min(height, width) / max(height, width))
    inner = image.resize((16, short) if width > height else (short, 16), bilinear)
    padded = decode(np.asarray(image), 16, framing=Framing("pad", FILL))
    first = round((16 - short) / 2)
    rows = padded if width > height else padded.transpose(0, 2, 1)
    inside = planes(inner) if width > height else planes(inner).transpose(0, 2, 1)
    assert np.array_equal(rows[:, first : first + short], inside)
    borders = np.delete(rows, range(first, first + short), axis=1)
    assert (borders == np.array(FILL)[:, None, None]).all()
    assert np.array_equal(padded, planes(ImageOps.pad(image, (16, 16), bilinear, color=FILL)))


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_square_image_and_a_line_of_pixels(fit: str) -> None:
    framing = framing_of(fit, (0.5, 0.5, 0.5))  # type: ignore[arg-type]
    square = picture(30, 30)
    assert np.array_equal(decode(np.asarray(square), 16, framing=framing), decode(np.asarray(square), 16))
    assert decode(np.asarray(picture(1, 1000)), 16, framing=framing).shape == (3, 16, 16)


def test_a_crop_hides_the_ends_and_nothing_else_does() -> None:
    ends = np.zeros((36, 64, 3), dtype=np.uint8)
    ends[:, :10] = ends[:, -10:] = 255
    seen = {fit: decode(ends, 32, framing=Framing(fit)).max() for fit in ("crop", "pad", "squash")}  # type: ignore[arg-type]
    assert seen["crop"] == 0
    assert min(seen["pad"], seen["squash"]) > 200
    assert CROP.fit == "crop"


def photos(root: Path) -> Path:
    """Frames of two classes, each with one colour at both ends and grey between them."""
    for number in range(8):
        for name, color in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
            pixels = np.full((90, 160, 3), 124, dtype=np.uint8)
            pixels[:, :30] = pixels[:, -30:] = color
            pixels[0, 0] = number
            (root / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.mark.parametrize("augment", [(), ("resized_crop",)], ids=["in memory", "on disk"])
def test_every_part_of_a_set_is_read_alike(tmp_path: Path, augment: tuple[str, ...]) -> None:
    folder = photos(tmp_path)
    made = {}
    for fit in ("crop", "pad", "squash"):
        options = DataOptions(
            name="folder", path=str(folder), image_size=32, fit=fit, validation=0.3, augment=augment,
            mean=(0.2, 0.4, 0.6),
        )  # fmt: skip
        data = load_data(options)
        assert data.val is not None
        assert data.train.sizes is not None
        assert data.train.sizes.tolist() == [[90, 160]] * len(data.train)
        read = [
            part.images[0] if isinstance(part.images, torch.Tensor) else part.images.read(0)
            for part in (data.train, data.val)
        ]
        made[fit] = read
    for crop, pad, squash in zip(made["crop"], made["pad"], made["squash"], strict=True):
        assert (crop == 124).float().mean() > 0.99  # the ends are cut off
        assert pad[:, 0, 16].tolist() == [51, 102, 153]
        assert pad[2, 16, 0] == squash[2, 16, 0] == 255  # "blue" comes first


def test_boxes_beyond_an_image_are_filled(tmp_path: Path) -> None:
    options = DataOptions(
        name="folder", path=str(photos(tmp_path)), image_size=32, fit="pad", augment=("resized_crop",),
        mean=(0.2, 0.4, 0.6),
    )  # fmt: skip
    images = load_data(options).train.images
    assert not isinstance(images, torch.Tensor)
    whole = images.read(0, (-35, 0, 160, 160))
    plain = images.read(0)
    assert (whole.int() - plain.int()).abs().max() <= 2  # of torch's filter and of Pillow's
    shifted = images.read(0, (-70, 0, 160, 160))
    assert shifted[:, 13, 16].tolist() == [51, 102, 153]
    assert torch.equal(shifted[:, 14:], whole[:, 7:25])
    inside = images.read(0, (20, 0, 30, 30))
    assert (inside == torch.tensor([0, 0, 255])[:, None, None]).all()


def test_a_fit_that_does_not_exist_is_refused() -> None:
    from longtail.recipe import load_recipe

    with pytest.raises(InputError, match="squash"):
        load_recipe("icl-digits", {"data.fit": "stretch"})
