"""Each operation and the whole chain against Pillow, bit for bit, at every magnitude of the policies."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from longtail.augment import Augment
from longtail.augment.geometry import affine, crop_flip, fixed_point, rotation
from longtail.augment.operations import apply_operations, build_table
from longtail.augment.policies import (
    AUTOAUGMENT_LEVELS,
    RANDAUGMENT_LEVELS,
    RANDAUGMENT_OPERATIONS,
    Operation,
    operation,
)
from longtail.augment.random import draw_bits
from longtail.augment.sampling import autoaugment

FILL = 128
NAMES = (*RANDAUGMENT_OPERATIONS, "invert", "shear_x_bicubic", "shear_y_bicubic")


def by_pillow(picture: Image.Image, one: Operation) -> Image.Image:
    grey, value, (width, height) = (FILL,) * 3, one.value, picture.size

    def transform(*matrix: float) -> Image.Image:
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, fillcolor=grey)

    def bicubic(*matrix: float) -> Image.Image:
        affine, cubic = Image.Transform.AFFINE, Image.Resampling.BICUBIC
        return picture.transform(picture.size, affine, matrix, cubic, fillcolor=grey)

    match one.name:
        case "shear_x_bicubic":
            return bicubic(1, value, 0, 0, 1, 0)
        case "shear_y_bicubic":
            return bicubic(1, 0, 0, value, 1, 0)
        case "shear_x":
            return transform(1, value, 0, 0, 1, 0)
        case "shear_y":
            return transform(1, 0, 0, value, 1, 0)
        case "translate_x":
            return transform(1, 0, value * width, 0, 1, 0)
        case "translate_y":
            return transform(1, 0, 0, 0, 1, value * height)
        case "rotate":
            return picture.rotate(value, fillcolor=grey)
        case "posterize":
            return ImageOps.posterize(picture, int(value))
        case "solarize":
            return ImageOps.solarize(picture, value)
        case "invert" | "equalize" | "autocontrast":
            return getattr(ImageOps, one.name)(picture)
        case "brightness" | "contrast" | "color" | "sharpness":
            return getattr(ImageEnhance, one.name.capitalize())(picture).enhance(value)
    assert one.name == "identity"
    return picture


def picture_of(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def tensor_of(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def every_operation(name: str) -> list[Operation]:
    levels = [(level, AUTOAUGMENT_LEVELS) for level in range(AUTOAUGMENT_LEVELS + 1)]
    levels += [(level, RANDAUGMENT_LEVELS) for level in range(RANDAUGMENT_LEVELS + 1)]
    return sorted({operation(name, level, of, sign) for level, of in levels for sign in (1, -1)})


@pytest.mark.parametrize("name", NAMES)
def test_operation_equals_pillow_at_every_magnitude(name: str, images: Tensor) -> None:
    operations = every_operation(name)
    table = build_table(operations, *images.shape[-2:], fill=FILL, device=images.device)
    pictures = [picture_of(image) for image in images]
    rows = torch.arange(len(operations)).repeat_interleave(len(images))
    results = apply_operations(images.repeat(len(operations), 1, 1, 1), rows, table, dense=False)
    for one, result in zip(operations, results.split(len(images)), strict=True):
        expected = torch.stack([tensor_of(by_pillow(picture, one)) for picture in pictures])
        assert torch.equal(result, expected), one


@pytest.mark.parametrize("size", [(32, 32), (9, 14), (15, 15)])
def test_rotation_equals_pillow_at_every_degree(size: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    picture = picture_of(image[0])
    turns = [*map(float, range(-360, 361)), 0.5, 29.999, -1e-9, 44.7]
    coefficients = torch.tensor([rotation(degrees, *size) for degrees in turns], dtype=torch.int32)
    for degrees, result in zip(
        turns, affine(image.expand(len(turns), -1, -1, -1), coefficients, FILL), strict=True
    ):
        expected = tensor_of(picture.rotate(degrees, fillcolor=(FILL,) * 3))
        assert torch.equal(result, expected), degrees


def test_translation_equals_pillow_at_every_width() -> None:
    for width in (*range(1, 12), 28, 31, 32, 33, 48, 64, 96, 100, 128, 224, 331, 662):
        image = torch.arange(width).remainder(251).to(torch.uint8).expand(1, 3, 1, width)
        picture = picture_of(image[0])
        for one in every_operation("translate_x"):
            matrix = (1.0, 0.0, one.value * width, 0.0, 1.0, 0.0)
            expected = picture.transform(picture.size, Image.Transform.AFFINE, matrix, fillcolor=(FILL,) * 3)
            result = affine(image, torch.tensor([fixed_point(*matrix)], dtype=torch.int32), FILL)[0]
            assert torch.equal(result, tensor_of(expected)), (width, one)


def test_large_shear_equals_pillow() -> None:
    image = torch.randint(0, 256, (1, 3, 224, 341), dtype=torch.uint8)
    for one in every_operation("shear_x")[::5]:
        table = build_table([one], 224, 341, fill=FILL, device=image.device)
        result = apply_operations(image, torch.tensor([0]), table, dense=False)[0]
        assert torch.equal(result, tensor_of(by_pillow(picture_of(image[0]), one))), one


def test_mixed_batch_equals_single_operations_sparse_and_dense(images: Tensor) -> None:
    operations = [one for name in NAMES for one in every_operation(name)]
    table = build_table(operations, *images.shape[-2:], fill=FILL, device=images.device)
    row = torch.randint(0, len(operations), (len(images),), generator=torch.Generator().manual_seed(1))
    before = images.clone()
    sparse = apply_operations(images, row, table, dense=False)
    expected = [
        tensor_of(by_pillow(picture_of(image), operations[number]))
        for image, number in zip(images, row.tolist(), strict=True)
    ]
    assert torch.equal(sparse, torch.stack(expected))
    assert torch.equal(apply_operations(images, row, table, dense=True), sparse)
    assert torch.equal(images, before)


def test_crop_flip_equals_padding_slicing_and_mirroring() -> None:
    image = torch.randint(1, 256, (3, 3, 6, 9), dtype=torch.uint8)
    top, left, flip = torch.tensor([-2, 0, 2]), torch.tensor([1, -2, 0]), torch.tensor([0, 1, 1])
    result = affine(image, crop_flip(top, left, flip, 9), fill=0)
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
    for number in range(3):
        y, x = int(top[number]) + 2, int(left[number]) + 2
        window = padded[number, :, y : y + 6, x : x + 9]
        assert torch.equal(result[number], window.flip(-1) if flip[number] else window)


def test_whole_chain_equals_pillow_given_the_same_draws(photos: Tensor) -> None:
    index = torch.arange(len(photos)) + 1000
    augment = Augment(("crop", "flip", "autoaugment", "cutout"), (0.0,) * 3, (1.0,) * 3)
    result = (augment(photos, index, seed=5, epoch=6, view=1) * 255).round().to(torch.uint8)
    bits = draw_bits(index, 11, Augment.keys(5, 6, 1, "cpu"))
    policy = autoaugment(5)
    rows = [step.rows(bits).tolist() for step in policy.steps]
    for number, draws in enumerate(bits.tolist()):
        up, left, flip, y, x = (draw * n >> 32 for draw, n in zip(draws, (9, 9, 2, 32, 32), strict=False))
        padded = torch.nn.functional.pad(photos[number], (4, 4, 4, 4))[:, up : up + 32, left : left + 32]
        picture = picture_of(padded.flip(-1) if flip else padded)
        for row in rows:
            picture = by_pillow(picture, policy.operations[row[number]])
        expected = tensor_of(picture).clone()
        expected[:, max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 0
        assert torch.equal(result[number], expected), number
