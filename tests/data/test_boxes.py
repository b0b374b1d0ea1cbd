"""Boxes cut out of original images as they are read."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from torchvision.transforms import functional, v2

from longtail.data.images import UnreadableError, decode_box, measure
from longtail.data.stored import StoredPixels


def photo(height=300, width=400, seed=0):
    """A smooth picture with some noise, as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return Image.fromarray((smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8))


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


BOXES = [(0, 0, 300, 400), (40, 60, 150, 130), (100, 3, 30, 40), (10, 20, 64, 64), (299, 399, 1, 1)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pixels_are_within_one_grey_level_of_torchvision(box, kind):
    data = encoded(photo(), kind)
    ours = decode_box(data, box, 64)
    picture = Image.open(io.BytesIO(data))
    by_pillow = functional.pil_to_tensor(functional.resized_crop(picture, *box, [64, 64], antialias=True))
    assert (ours.int() - by_pillow.int()).abs().max() <= 1
    on_tensors = v2.functional.resized_crop(v2.functional.pil_to_tensor(picture), *box, [64, 64])
    assert (ours.int() - on_tensors.int()).abs().max() <= 1  # equal, but for kernels of CPUs that differ
    assert measure(data) == (300, 400)


def test_a_box_of_the_right_size_keeps_its_pixels():
    picture = photo(20, 30)
    whole = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert torch.equal(decode_box(encoded(picture, "PNG"), (3, 5, 8, 8), 8), whole[:, 3:11, 5:13])


def test_stored_pixels_give_the_same_and_only_their_rows_are_read(tmp_path):
    picture = photo(40, 30)
    file = tmp_path / "pixels"
    file.write_bytes(b"x" * 7 + np.asarray(picture).tobytes())
    stored = StoredPixels(file, 7, 40, 30, 0, "a.png", 0, bytearray(b"\1"))
    for box in [(0, 0, 40, 30), (35, 1, 5, 29), (10, 20, 3, 4)]:
        assert torch.equal(decode_box(stored, box, 16), decode_box(encoded(picture, "PNG"), box, 16))
    file.write_bytes(file.read_bytes()[:-90])
    assert decode_box(stored, (0, 0, 39, 30), 16).shape == (3, 16, 16)
    with pytest.raises(UnreadableError, match="shorter than its index"):
        decode_box(stored, (0, 0, 40, 30), 16)


def test_boxes_are_those_of_the_upright_image():
    picture = photo(40, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    turned, upright = encoded(picture, "PNG", exif=exif), picture.transpose(Image.Transpose.ROTATE_270)
    assert measure(turned) == (30, 40)
    assert torch.equal(
        decode_box(turned, (2, 20, 10, 18), 8), decode_box(encoded(upright, "PNG"), (2, 20, 10, 18), 8)
    )


@pytest.mark.parametrize(("side", "factor"), [(63, 1), (64, 2), (127, 2), (128, 4), (256, 8), (300, 8)])
def test_draft_shrinks_no_further_than_the_box_allows(side, factor, monkeypatch):
    data, asked, own = encoded(photo(301, 399), quality=95), [], JpegImageFile.draft

    def draft(image, mode, size):
        own(image, mode, size)
        asked.append(image.size)

    monkeypatch.setattr(JpegImageFile, "draft", draft)
    box = (1, 2, side, side)
    drafted, exact = (decode_box(data, box, 32, draft=draft).int() for draft in (True, False))
    assert asked == [(-(-399 // factor), -(-301 // factor))]
    distance = (drafted - exact).abs().float()
    assert (distance.max() == 0) == (factor == 1)
    assert distance.mean() < 1.5


def test_draft_leaves_other_formats_alone():
    data = encoded(photo(), "PNG")
    assert torch.equal(decode_box(data, BOXES[0], 32, draft=True), decode_box(data, BOXES[0], 32))


@pytest.mark.parametrize("box", [(290, 0, 11, 5), (0, 399, 5, 2)])
def test_an_image_that_has_become_smaller_is_refused(box):
    with pytest.raises(UnreadableError, match="smaller than when"):
        decode_box(encoded(photo()), box, 4)


def test_what_cannot_be_decoded_says_why():
    for work in (lambda data: decode_box(data, (0, 0, 2, 2), 2), measure):
        with pytest.raises(UnreadableError, match="not an image"):
            work(b"hello")
        with pytest.raises(UnreadableError, match="truncated"):
            work(encoded(photo())[:2000])
