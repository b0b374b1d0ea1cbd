"""Operations drawn from a range, against Pillow and torchvision on what was drawn, and what is drawn."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from longtail.augment import OPERATIONS, Augment, blur, spaced
from longtail.augment.checks import check_choice, check_jitter
from longtail.augment.geometry import reflected_window
from longtail.augment.hue import turn_hue
from longtail.augment.policies import Operation
from longtail.augment.random import draw_bits
from longtail.augment.sampling import FIRST_STEP, Policy, randaugment
from longtail.types import InputError

PLAIN: Any = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
NUM_SLOTS = 80


def levels(normalized: Tensor) -> Tensor:
    return (normalized * 255).round().to(torch.uint8)


def picture_of(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def tensor_of(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def drawn(policy: Policy, count: int) -> list[list[Operation]]:
    """For each step what each of `count` images gets; identity where it is not applied."""
    bits = draw_bits(torch.arange(count), NUM_SLOTS, Augment.keys(3, 1, 0, "cpu"))
    return [[policy.operations[row] for row in step.rows(bits).tolist()] for step in policy.steps]


def by_pillow(picture: Image.Image, one: Operation) -> Image.Image:
    """torchvision on pictures, which is Pillow."""
    match one.name:
        case "rotation":
            return functional.rotate(picture, one.value, fill=0)
        case "brightness" | "contrast":
            return getattr(functional, f"adjust_{one.name}")(picture, one.value)
        case "color":
            return functional.adjust_saturation(picture, one.value)
        case "hue":
            hue, saturation, value = picture.convert("HSV").split()
            turned = Image.fromarray(np.array(hue) + np.uint8(one.value))
            return Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    assert one.name == "identity"
    return picture


ODD = (2.0, 0.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("name", "options", "policy"),
    [
        ("rotation", {}, spaced.rotation(15.0)),
        ("rotation", {"rotation_degrees": 180.0}, spaced.rotation(180.0)),
        ("color_jitter", {}, spaced.color_jitter((0.4, 0.4, 0.4, 0.1), 0.8)),
        ("color_jitter", {"jitter_strength": ODD, "jitter_probability": 1.0}, spaced.color_jitter(ODD, 1.0)),
        ("grayscale", {}, spaced.grayscale(0.2)),
    ],
)
def test_each_equals_pillow_given_the_same_draws(
    name: str, options: dict[str, Any], policy: Policy, photos: Tensor
) -> None:
    augment = Augment((name,), **PLAIN, **options)
    result = levels(augment(photos, torch.arange(len(photos)), seed=3, epoch=1))
    steps = drawn(policy, len(photos))
    assert any(one.name != "identity" for step in steps for one in step)
    for number, image in enumerate(photos):
        picture = picture_of(image)
        for step in steps:
            picture = by_pillow(picture, step[number])
        assert torch.equal(result[number], tensor_of(picture)), number


def test_hue_equals_pillow_all_around_the_circle() -> None:
    draw = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 32, 64), generator=draw).to(torch.uint8)
    image[..., :8] = image[:, :1, :, :8]  # grey
    for share in torch.linspace(-0.5, 0.5, 52).tolist():
        shift = torch.tensor([float(int(share * 255) % 256)])
        expected = tensor_of(functional.adjust_hue(picture_of(image[0]), share))
        assert torch.equal(turn_hue(image, shift)[0], expected), share


def test_no_colour_is_that_of_torchvision(photos: Tensor) -> None:
    result = levels(
        Augment(("grayscale",), **PLAIN, grayscale_probability=1.0)(photos, torch.arange(16), seed=0, epoch=0)
    )
    for image, one in zip(photos, result, strict=True):
        assert torch.equal(one, tensor_of(functional.to_grayscale(picture_of(image), 3)))


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur_is_torchvisions_to_within_a_grey_level(sigma: float, images: Tensor) -> None:
    size = blur.kernel_size(*images.shape[-2:])
    result = blur.blur(images, blur.gaussian(sigma, size).expand(len(images), size))
    if min(images.shape[-2:]) <= size // 2:
        return  # torchvision does not reflect beyond the other side
    expected = functional.gaussian_blur(images, [size, size], [sigma, sigma])
    difference = (result.int() - expected.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).double().mean() < 0.02


def test_blur_leaves_a_flat_image_and_its_window_grows() -> None:
    assert [blur.kernel_size(side, 300) for side in (1, 8, 32, 64, 224)] == [3, 3, 3, 7, 23]
    flat = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(256, 3, 5, 1)
    assert torch.equal(blur.blur(flat, blur.gaussian(2.0, 7).expand(256, 7)), flat)


@pytest.mark.parametrize("flip", [0, 1])
def test_a_reflected_crop_is_torchvisions(flip: int, images: Tensor) -> None:
    padding = min(4, min(images.shape[-2:]) - 1)
    padded = functional.pad(images, [padding] * 4, padding_mode="reflect")
    height, width = images.shape[-2:]
    for top, left in ((-padding, padding), (padding, 0), (0, -padding)):
        window = padded[..., padding + top :, padding + left :][..., :height, :width]
        draws = [torch.full((len(images),), value) for value in (top, left, flip)]
        assert torch.equal(reflected_window(images, *draws), window.flip(-1) if flip else window)


def test_a_reflected_crop_has_the_draws_of_a_black_one(photos: Tensor) -> None:
    index = torch.arange(len(photos))
    black, reflected = (
        levels(
            Augment(("crop", "flip"), **PLAIN, crop_fill=fill)(photos.clamp(min=1), index, seed=0, epoch=0)
        )
        for fill in ("zeros", "reflect")
    )
    inside = black > 0
    assert torch.equal(reflected[inside], black[inside])
    assert reflected.min() > 0
    assert not inside.all()


def test_angles_and_factors_are_even_over_their_ranges() -> None:
    count = 20000
    (angles,) = drawn(spaced.rotation(15.0), count)
    values = torch.tensor([one.value for one in angles])
    assert values.abs().max() <= 15
    torch.testing.assert_close(
        torch.histc(values, 10, -15, 15) / count, torch.full((10,), 0.1), atol=0.01, rtol=0
    )
    brightness, contrast, color, hue = drawn(spaced.color_jitter((0.4, 0.4, 0.4, 0.1), 1.0), count)
    for step in (brightness, contrast, color):
        factors = torch.tensor([one.value for one in step])
        shares = torch.histc(factors, 8, 0.6, 1.4) / count
        torch.testing.assert_close(shares, torch.full((8,), 0.125), atol=0.01, rtol=0)
    turns = {(int(one.value) + 128) % 256 - 128 for one in hue}
    assert turns == set(range(-25, 26))
    assert min(one.value for one in drawn(spaced.color_jitter((3.0, 0.0, 0.0, 0.0), 1.0), count)[0]) >= 0


def test_a_jitter_is_done_as_a_whole_or_not_at_all() -> None:
    applied = [
        [one.name != "identity" for one in step]
        for step in drawn(spaced.color_jitter((0.4,) * 3 + (0.5,), 0.8), 9000)
    ]
    assert applied[0] == applied[1] == applied[2] == applied[3]
    assert sum(applied[0]) / 9000 == pytest.approx(0.8, abs=0.02)
    for policy, probability in ((spaced.grayscale(0.2), 0.2), (spaced.blurred((0.1, 2.0), 0.5), 0.5)):
        (step,) = drawn(policy, 9000)
        assert sum(one.name != "identity" for one in step) / 9000 == pytest.approx(probability, abs=0.02)


def test_no_two_operations_share_a_slot() -> None:
    policies = [
        randaugment(FIRST_STEP, 16, 10), spaced.rotation(15.0), spaced.color_jitter((0.4, 0.4, 0.4, 0.1), 0.8),
        spaced.grayscale(0.2), spaced.blurred((0.1, 2.0), 0.5),
    ]  # fmt: skip
    slots = [
        {slot for step in policy.steps for slot in (step.choice_slot, step.own_slot, step.own_slot + 1)}
        for policy in policies
    ]
    assert sum(map(len, slots)) == len(set().union(*slots))
    assert min(set().union(*slots)) == FIRST_STEP
    choices = [step.choice_slot for step in policies[2].steps]
    assert len(set(choices)) == 4  # each operation of a jitter draws its own strength
    assert not set(choices) & {policies[2].steps[0].own_slot, policies[2].steps[0].own_slot + 1}


def test_one_operation_leaves_the_draws_of_the_others(photos: Tensor) -> None:
    index = torch.arange(len(photos))
    usual = ("crop", "flip", "autoaugment", "cutout")
    more = (*usual, "color_jitter", "grayscale", "blur")
    never = {"jitter_probability": 0.0, "grayscale_probability": 0.0, "blur_probability": 0.0}
    one, other = Augment(usual, **PLAIN), Augment(more, **PLAIN, **never)
    assert torch.equal(one(photos, index, seed=5, epoch=2), other(photos, index, seed=5, epoch=2))


def test_the_order_is_fixed(photos: Tensor) -> None:
    index, names = torch.arange(len(photos)), ("cutout", "blur", "grayscale", "rotation", "flip")
    chain = Augment(names, **PLAIN, grayscale_probability=1.0, blur_probability=1.0)
    assert chain.operations == ("flip", "rotation", "grayscale", "blur", "cutout")
    assert tuple(name for name in OPERATIONS if name in names) == chain.operations
    images = photos
    for name in chain.operations:
        one = Augment((name,), **PLAIN, grayscale_probability=1.0, blur_probability=1.0)
        images = levels(one(images, index, seed=1, epoch=4))
    assert torch.equal(levels(chain(photos, index, seed=1, epoch=4)), images)


def test_what_types_alone_would_refuse_is_refused() -> None:
    with pytest.raises(InputError, match="crop_fill is 'edge'; valid is zeros or reflect"):
        check_choice("crop_fill", "edge", ("zeros", "reflect"))
    with pytest.raises(InputError, match="give four numbers from 0"):
        check_jitter((0.4, 0.4, 0.1))
