"""The whole chain: purity, order of operations, Pillow parity, normalisation and refusals."""

import doctest
import math

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

import longtail.augment.pipeline
import longtail.augment.random
from longtail.augment import OPERATIONS, Augment
from longtail.types import InputError

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
ALL = ("crop", "flip", "autoaugment", "cutout")
DRAWN = ("crop", "flip", "rotation", "color_jitter", "grayscale", "blur", "cutout")
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def levels(normalized: Tensor) -> Tensor:
    """Back to 0..255 where mean is 0 and deviation 1."""
    return (normalized * 255).round().long()


@pytest.mark.parametrize("operations", [ALL, ("crop", "flip", "randaugment", "cutout"), ("flip",), DRAWN])
def test_splitting_and_order_change_no_bit(operations: tuple[str, ...], photos: Tensor) -> None:
    augment = Augment(operations, MEAN, STD)
    images = photos.repeat(8, 1, 1, 1)
    index = torch.arange(128) * 37
    whole = augment(images, index, seed=7, epoch=3)
    parts = [augment(images[a:b], index[a:b], seed=7, epoch=3) for a, b in [(0, 1), (1, 30), (30, 128)]]
    assert torch.equal(torch.cat(parts), whole)
    order = torch.randperm(128)
    assert torch.equal(augment(images[order], index[order], seed=7, epoch=3), whole[order])
    assert torch.equal(Augment(operations, MEAN, STD)(images, index, seed=7, epoch=3), whole)


@pytest.mark.parametrize("key", [{"seed": 8}, {"epoch": 4}, {"view": 1}])
def test_seed_epoch_and_view_change_most_images(key: dict[str, int], photos: Tensor) -> None:
    augment = Augment(ALL, MEAN, STD)
    index = torch.arange(16)
    first = augment(photos, index, seed=7, epoch=3)
    second = augment(photos, index, **({"seed": 7, "epoch": 3} | key))
    assert (first == second).flatten(1).all(1).sum() <= 1


@pytest.mark.parametrize("size", [(32, 32), (9, 13)])
def test_without_operations_it_is_totensor_and_normalize(size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (5, 3, *size), dtype=torch.uint8)
    usual = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    expected = torch.stack([usual(Image.fromarray(one.permute(1, 2, 0).numpy())) for one in images])
    augment = Augment((), MEAN, STD)
    result = augment(images, torch.arange(5), seed=0, epoch=0)
    assert torch.equal(result, expected)
    assert torch.equal(augment.normalize(images), expected)
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_input_is_left_as_it_is(photos: Tensor) -> None:
    before = photos.clone()
    for operations in (ALL, DRAWN, ("autoaugment",), ("color_jitter",), ("cutout",), ()):
        Augment(operations, MEAN, STD)(photos, torch.arange(16), seed=0, epoch=0)
    assert torch.equal(photos, before)


def test_crop_takes_every_place_equally_often() -> None:
    count = 8100
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    images[0, 0, 4, 4] = 255
    augment = Augment(("crop",), **PLAIN)
    result = levels(augment(images.expand(count, 3, 8, 8), torch.arange(count), seed=0, epoch=0))[:, 0]
    places = result.flatten(1).argmax(1)[result.flatten(1).amax(1) == 255]
    shares = torch.bincount(places, minlength=64).view(8, 8) / count
    torch.testing.assert_close(shares, torch.full((8, 8), 1 / 81), atol=0.006, rtol=0)


def test_flip_mirrors_half_of_the_images(photos: Tensor) -> None:
    images = photos[:1].expand(4000, 3, 32, 32)
    result = levels(Augment(("flip",), **PLAIN)(images, torch.arange(4000), seed=0, epoch=0))
    mirrored = (result == images[:1].flip(-1)).flatten(1).all(1)
    assert torch.equal(result[~mirrored], images[~mirrored].long())
    assert abs(float(mirrored.double().mean()) - 0.5) < 0.03


@pytest.mark.parametrize("cutout_size", [16, 5, 1])
def test_cutout_zeroes_one_clipped_square_around_any_pixel(cutout_size: int) -> None:
    count, (height, width) = 6000, (20, 12)
    images = torch.full((count, 3, height, width), 200, dtype=torch.uint8)
    augment = Augment(("cutout",), **PLAIN, cutout_size=cutout_size)
    gone = levels(augment(images, torch.arange(count), seed=0, epoch=0)) == 0
    assert torch.equal(gone[:, 0], gone[:, 2])
    rows, columns = gone[:, 0].any(2), gone[:, 0].any(1)
    assert torch.equal(gone[:, 0], rows[:, :, None] & columns[:, None, :])
    for marks, side in ((rows, height), (columns, width)):
        spans = {(int(one.nonzero()[0]), int(one.sum())) for one in marks}
        lows = [centre - cutout_size // 2 for centre in range(side)]
        assert spans == {(max(0, low), min(side, low + cutout_size) - max(0, low)) for low in lows}
    assert abs(float(rows[:, 0].double().mean()) - (cutout_size // 2 + 1) / height) < 0.03


def test_cutout_is_black_before_normalisation() -> None:
    images = torch.full((50, 3, 8, 8), 255, dtype=torch.uint8)
    result = Augment(("cutout",), MEAN, STD, cutout_size=4)(images, torch.arange(50), seed=0, epoch=0)
    black = (0 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(result.amin((0, 2, 3)), black)


def test_policy_runs_after_the_crop_and_before_the_cutout() -> None:
    images = torch.full((400, 3, 32, 32), 250, dtype=torch.uint8)
    index = torch.arange(400)
    without = levels(Augment(("crop", "flip", "autoaugment"), **PLAIN)(images, index, seed=0, epoch=0))
    full = levels(Augment(ALL, **PLAIN)(images, index, seed=0, epoch=0))
    assert ((full == without) | (full == 0)).all()
    assert (full[:, :, :, :] == 0).flatten(1).sum(1).min() >= 3 * 8 * 8
    cropped = levels(Augment(("crop",), **PLAIN)(images, index, seed=0, epoch=0))
    assert set(cropped.unique().tolist()) == {0, 250}
    assert 128 in without.unique().tolist()


def test_randaugment_options_count() -> None:
    images = torch.randint(0, 256, (300, 3, 8, 8), dtype=torch.uint8)
    index = torch.arange(300)
    shares = []
    for ops in (1, 3):
        augment = Augment(("randaugment",), **PLAIN, randaugment_ops=ops, randaugment_magnitude=30)
        same = levels(augment(images, index, seed=0, epoch=0)) == images
        shares.append(float(same.flatten(1).all(1).double().mean()))
    assert shares[0] > 0.05 > shares[1]


def test_unknown_operation_names_the_nearest() -> None:
    with pytest.raises(InputError, match="'autoaugmnet'; did you mean 'autoaugment'"):
        Augment(("crop", "autoaugmnet"), MEAN, STD)
    with pytest.raises(InputError, match=", ".join(OPERATIONS)):
        Augment(("zzz",), MEAN, STD)


@pytest.mark.parametrize(
    ("operations", "changes", "message"),
    [
        (("autoaugment", "randaugment"), {}, "keep one"),
        ((), {"mean": (0.5,)}, "three numbers"),
        ((), {"std": (0.5, 0.0, 0.5)}, "not positive"),
        (("crop",), {"crop_padding": -1}, "crop_padding is -1; valid is at least 0"),
        (("cutout",), {"cutout_size": 0}, "cutout_size is 0; valid is at least 1"),
        (("randaugment",), {"randaugment_ops": 0}, "1 to 16"),
        (("randaugment",), {"randaugment_magnitude": 31}, "0 to 30"),
        ((), {"fill": 256}, "0 to 255"),
        ((), {"rotation_degrees": 0.0}, "rotation_degrees is 0.0; valid is above 0 to 180"),
        ((), {"rotation_degrees": 181.0}, "above 0 to 180"),
        ((), {"rotation_degrees": math.nan}, "above 0 to 180"),
        ((), {"jitter_strength": (0.4, 0.4, 0.4, 0.6)}, "hue, the last at most 0.5"),
        ((), {"jitter_strength": (0.4, -0.4, 0.4, 0.1)}, "four numbers from 0"),
        ((), {"jitter_probability": 1.1}, "jitter_probability is 1.1; valid is 0 to 1"),
        ((), {"grayscale_probability": -0.1}, "grayscale_probability is -0.1"),
        ((), {"blur_probability": 2.0}, "blur_probability is 2.0"),
        (
            (),
            {"blur_sigma": (0.0, 1.0)},
            "blur_sigma is 0.0, 1.0; give a smallest and a largest number, above 0",
        ),
        ((), {"blur_sigma": (2.0, 1.0)}, "blur_sigma is 2.0, 1.0"),
        ((), {"blur_sigma": (2.0, 101.0)}, "at most 100"),
    ],
)
def test_refusals(operations: tuple[str, ...], changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Augment(operations, **({"mean": MEAN, "std": STD} | changes))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("operations", [ALL, ("randaugment",), ("rotation", "grayscale")])
@pytest.mark.parametrize("form", ["dense", "kernel"])
def test_accelerator_gives_the_same_bits(
    operations: tuple[str, ...], form: str, photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, index = photos.repeat(32, 1, 1, 1), torch.arange(512)
    augment = Augment(operations, MEAN, STD)
    monkeypatch.setattr(Augment, "form", lambda self, image: "sparse" if image.is_cpu else form)
    expected = augment(images, index, seed=1, epoch=2)
    result = augment(images.cuda(), index.cuda(), seed=1, epoch=2)
    assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize("module", [longtail.augment.pipeline, longtail.augment.random])
def test_examples_in_docstrings(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted > 0
    assert results.failed == 0
