"""The random resized crop: boxes by torchvision's rule, pixels by Pillow's filter."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from longtail.augment import Augment
from longtail.augment.resized_crop import crop_resize, draw_boxes
from longtail.types import InputError

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def boxes(count: int, height: int, width: int, scale: tuple[float, float] = (0.08, 1.0)) -> Tensor:
    sizes = torch.tensor([[height, width]]).expand(count, 2)
    return draw_boxes(torch.arange(count), sizes, scale, Augment.keys(0, 0, 0, "cpu"))


def by_torchvision(count: int, height: int, width: int, scale: tuple[float, float]) -> Tensor:
    image = torch.empty(3, height, width)
    torch.manual_seed(0)
    draw = transforms.RandomResizedCrop.get_params
    return torch.tensor([draw(image, list(scale), [3 / 4, 4 / 3]) for _ in range(count)])


@pytest.mark.parametrize(("height", "width"), [(375, 500), (600, 200), (32, 32)])
def test_boxes_are_distributed_as_those_of_torchvision(height: int, width: int) -> None:
    ours, theirs = (draw(4000, height, width, (0.08, 1.0)) for draw in (boxes, by_torchvision))
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    quantiles = torch.linspace(0.05, 0.95, 10)
    for column in range(4):
        a, b = (drawn[:, column].float().quantile(quantiles) for drawn in (ours, theirs))
        assert (a - b).abs().max() <= 0.05 * max(height, width), column
    shares = (ours[:, 2] * ours[:, 3]) / (height * width)
    assert shares.min() > 0.07
    ratios = ours[:, 3] / ours[:, 2]
    tolerance = 2 / ours[:, 2:].amin(1)
    assert ((ratios > 0.75 - tolerance) & (ratios < 4 / 3 + tolerance)).all()


@pytest.mark.parametrize(("height", "width"), [(10, 400), (400, 10), (7, 50), (50, 7), (1, 1), (1, 9)])
def test_where_no_box_fits_it_is_the_centre(height: int, width: int) -> None:
    ours, theirs = boxes(50, height, width, (1.0, 1.0)), by_torchvision(50, height, width, (1.0, 1.0))
    assert torch.equal(ours, theirs)


def test_the_first_box_that_fits_is_taken() -> None:
    """A box of all the area fits a 3:4 image with hardly any ratio, and a 1:1 image with none but 1."""
    whole = boxes(500, 400, 400, (1.0, 1.0))
    assert torch.equal(whole, torch.tensor([[0, 0, 400, 400]]).expand(500, 4))
    half = boxes(3000, 300, 300, (0.5, 0.5))
    assert ((half[:, 2] * half[:, 3] / 45_000 - 1).abs() < 0.01).all()
    large = boxes(3000, 300, 300, (0.9, 0.9))  # fits for a third of the ratios
    assert ((large[:, 2] * large[:, 3] / 81_000 - 1).abs() < 0.01).double().mean() > 0.9


def test_a_box_depends_on_its_own_image_alone() -> None:
    index, sizes = torch.arange(40) * 31, torch.randint(20, 600, (40, 2))
    keys = Augment.keys(7, 3, 0, "cpu")
    whole = draw_boxes(index, sizes, (0.08, 1.0), keys)
    order = torch.randperm(40)
    assert torch.equal(draw_boxes(index[order], sizes[order], (0.08, 1.0), keys), whole[order])
    for other in ((8, 3, 0), (7, 4, 0), (7, 3, 1)):
        boxes_of_other = draw_boxes(index, sizes, (0.08, 1.0), Augment.keys(*other, "cpu"))
        assert (boxes_of_other != whole).any(1).sum() > 35


@pytest.mark.parametrize("size", [8, 21, 40])
def test_pixels_are_those_of_pillow(size: int, images: Tensor) -> None:
    count, (height, width) = len(images), images.shape[-2:]
    drawn = boxes(count, height, width)
    result, different = crop_resize(images, drawn, size), 0
    for image, (top, left, h, w), ours in zip(images, drawn.tolist(), result, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        picture = picture.crop((left, top, left + w, top + h)).resize((size, size), Image.Resampling.BILINEAR)
        distance = (ours.permute(1, 2, 0).int() - torch.from_numpy(np.array(picture)).int()).abs()
        assert distance.max() <= 1
        different += int((distance > 0).any())
    assert different < count / 2  # those whose rows Pillow weighs before the columns


def test_a_whole_image_of_the_right_size_keeps_its_pixels(photos: Tensor) -> None:
    whole = torch.tensor([[0, 0, 32, 32]]).expand(16, 4)
    assert torch.equal(crop_resize(photos, whole, 32), photos)


def test_the_chain_crops_first_unless_the_reader_has(photos: Tensor) -> None:
    index, key = torch.arange(16), {"seed": 1, "epoch": 2}
    augment = Augment(("resized_crop", "flip", "randaugment", "cutout"), **PLAIN)
    sizes = torch.tensor([[32, 32]]).expand(16, 2)
    cut = crop_resize(photos, augment.boxes(index, sizes, augment.keys(1, 2, 0, "cpu")), 32)
    result = augment(photos, index, **key)
    assert torch.equal(result, augment(cut, index, **key, cropped=True))
    assert torch.equal(result[3:5], augment(photos[3:5], index[3:5], **key))
    rest = Augment(("flip", "randaugment", "cutout"), **PLAIN)
    assert torch.equal(result, rest(cut, index, **key))
    assert not torch.equal(result, rest(photos, index, **key))


def test_layout_changes_no_bit(photos: Tensor) -> None:
    augment = Augment(("flip", "randaugment", "cutout"), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    beside = photos.contiguous(memory_format=torch.channels_last)
    results = [augment(images, torch.arange(16), seed=0, epoch=0) for images in (photos, beside)]
    assert torch.equal(*results)
    assert torch.equal(augment.normalize(photos), augment.normalize(beside))
    assert augment.normalize(beside).is_contiguous(memory_format=torch.channels_last)


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"'crop' and 'resized_crop' are both given"):
        Augment(("crop", "resized_crop"), **PLAIN)
    for scale in ((0.0, 1.0), (0.5, 0.2), (0.5, 1.1)):
        with pytest.raises(InputError, match=r"crop_scale is .*; give a smallest and a largest number"):
            Augment(("resized_crop",), **PLAIN, crop_scale=scale)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_accelerator_gives_the_same_bits(photos: Tensor) -> None:
    images, index = photos.repeat(32, 1, 1, 1), torch.arange(512)
    augment = Augment(("resized_crop", "flip", "randaugment"), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    expected = augment(images, index, seed=1, epoch=2)
    assert torch.equal(augment(images.cuda(), index.cuda(), seed=1, epoch=2).cpu(), expected)


@pytest.mark.parametrize(("height", "width"), [(90, 160), (50, 10), (7, 700)])
def test_boxes_of_whole_images_keep_their_proportions(height: int, width: int) -> None:
    sizes, keys = torch.tensor([[height, width]]).expand(2000, 2), Augment.keys(0, 0, 0, "cpu")
    squash, pad = (draw_boxes(torch.arange(2000), sizes, (0.08, 1.0), keys, fit) for fit in ("squash", "pad"))
    assert (squash[:, :2] >= 0).all()
    assert (squash[:, 2:] >= 1).all()
    assert (squash[:, 0] + squash[:, 2] <= height).all()
    assert (squash[:, 1] + squash[:, 3] <= width).all()
    for boxes_, own in ((squash, width / height), (pad, 1)):
        ratios, tolerance = boxes_[:, 3] / boxes_[:, 2] / own, 2.5 / boxes_[:, 2:].amin(1)
        assert ((ratios > 0.75 - tolerance) & (ratios < 4 / 3 + 2 * tolerance)).all()
    shares = squash[:, 2] * squash[:, 3] / (height * width)
    assert shares.max() > 0.9
    for axis, side in ((0, height), (1, width)):  # of the image there is all of it, or nothing but it
        start, stop = pad[:, axis], pad[:, axis] + pad[:, axis + 2]
        covers = (start <= 0) & (stop >= side)
        assert (covers | ((start >= 0) & (stop <= side))).all()
        assert covers.any()
    assert (pad[:, 2:].amax(1) <= max(height, width)).all()


def test_square_images_have_the_same_boxes_however_they_become_squares() -> None:
    sizes, keys = torch.tensor([[40, 40]]).expand(300, 2), Augment.keys(0, 0, 0, "cpu")
    crop, pad, squash = (
        draw_boxes(torch.arange(300), sizes, (0.08, 1.0), keys, fit) for fit in ("crop", "pad", "squash")
    )
    assert torch.equal(crop, pad)
    assert torch.equal(crop, squash)
