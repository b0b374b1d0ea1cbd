"""Images as Pillow reads them, files that are none, and finding them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from longtail.data import read_images
from longtail.data.files import ImageFiles
from longtail.data.images import UnreadableError, check_all, decode, decode_all
from longtail.data.walking import walk_images
from longtail.types import InputError


def bytes_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_an_image_of_the_right_size_keeps_its_pixels(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {}
    encoded = bytes_of(Image.fromarray(pixels), kind, **options)
    assert np.array_equal(decode(encoded, 8), pixels.transpose(2, 0, 1))
    assert np.array_equal(decode(pixels, 8), pixels.transpose(2, 0, 1))


def test_jpeg_is_near():
    encoded = bytes_of(Image.new("RGB", (16, 16), (10, 100, 200)), "JPEG")
    assert np.abs(decode(encoded, 16)[:, 5, 5].astype(int) - [10, 100, 200]).max() <= 3


def test_the_centre_square_is_kept():
    wide = np.zeros((4, 12, 3), dtype=np.uint8)
    wide[:, 4:8] = 200
    assert (decode(wide, 4) == 200).all()
    assert (decode(wide.transpose(1, 0, 2), 4) == 200).all()


def test_shrinking_averages():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(decode(stripes, 8)[:, 1:-1, 1:-1].astype(int) - 100).max() <= 6


def test_small_images_grow():
    assert decode(np.full((2, 3, 3), 9, dtype=np.uint8), 5).shape == (3, 5, 5)


def test_orientation_is_applied():
    image = Image.new("RGB", (4, 4))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise: the top left goes to the top right
    turned = decode(bytes_of(image, "PNG", exif=exif), 4)
    assert (turned[0, 0, 3], turned[0, 0, 0]) == (255, 0)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "1", "P"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert (decode(bytes_of(image, kind), 4) == 255).all()


def test_palette_with_transparency_needs_no_warning():
    image = Image.new("P", (4, 4))
    image.putpalette([50, 60, 70] * 256)
    encoded = bytes_of(image, "PNG", transparency=bytes([0] * 256))
    assert decode(encoded, 4)[:, 0, 0].tolist() == [50, 60, 70]


@pytest.mark.parametrize(
    ("broken", "reason"), [(b"", "empty"), (b"hello", "not an image"), (b"RIFF0000WEBPxx", "not an image")]
)
def test_what_is_no_image_says_why(broken, reason, tmp_path):
    file = tmp_path / "x.png"
    file.write_bytes(broken)
    for image in (broken, file):
        with pytest.raises(UnreadableError, match=reason):
            decode(image, 4)


def test_a_truncated_image_is_unreadable(encoded):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = bytes_of(Image.fromarray(pixels), "JPEG")
    with pytest.raises(UnreadableError, match="truncated"):
        decode(whole[: len(whole) // 2], 8)


def test_unreadable_images_leave_the_others_in_order(encoded):
    images, bad, *_ = decode_all(iter([encoded(1), b"", encoded(3), b"no", encoded(5)]), 5, 8)
    assert images[:, 0, 0, 0].tolist() == [1, 3, 5]
    assert bad == {1: "empty", 3: "not an image"}


def test_many_images_keep_their_order():
    pixels = np.arange(3000) % 251
    images, bad, *_ = decode_all((np.full((2, 2, 3), p, dtype=np.uint8) for p in pixels), 3000, 2)
    assert bad == {}
    assert images[:, 1, 1, 1].tolist() == pixels.tolist()


def test_read_images_for_prediction(tree):
    root = tree({"a": [7, 8]})
    (root / "a" / "001.png").write_bytes(b"")
    paths = sorted((root / "a").iterdir())
    images, unreadable, _ = read_images(paths, 4)
    assert images.shape == (1, 3, 4, 4)
    assert images.dtype == torch.uint8
    assert unreadable == [(str(paths[1]), "empty")]


def test_files_on_disk_give_the_pixels_of_memory(tree):
    root = tree({"a": [7, 8, 9]})
    paths = tuple(sorted((root / "a").iterdir()))
    files = ImageFiles(paths.__getitem__, np.arange(3), np.full((3, 2), 8), 5)
    assert len(files) == 3
    assert torch.equal(files.take(np.array([2, 0])).read(0), read_images([paths[2]], 5)[0][0])


def test_a_file_that_vanishes_is_named(tree):
    root = tree({"a": [7]})
    path = root / "a" / "000.png"
    files = ImageFiles(lambda row: path, np.arange(1), np.full((1, 2), 8), 5)
    path.unlink()
    with pytest.raises(InputError, match=r"cannot read image .*000.png"):
        files.read(0)


def test_checking_tells_broken_files(tree):
    root = tree({"a": [7, 8, 9]})
    paths = sorted((root / "a").iterdir())
    paths[1].write_bytes(b"text")
    paths[2].write_bytes(paths[2].read_bytes()[:-40])
    sizes, bad, *_ = check_all(paths)
    assert (sizes.tolist(), list(bad)) == ([[8, 8]], [1, 2])
    assert check_all(paths[:2]).bad == {1: "not an image"}


def test_finding_images(tree):
    root = tree({"b/deep/er": [1], "a": [2, 3], ".hidden": [4], "a/.cache": [5], "__MACOSX": [6]})
    (root / "a" / "note.txt").write_text("no image")
    (root / "a" / ".x.png").write_bytes(b"")
    (root / "a" / "001.png").rename(root / "a" / "UPPER.JPEG")
    names = [path.relative_to(root).as_posix() for path in walk_images(root)]
    assert names == ["a/000.png", "a/UPPER.JPEG", "b/deep/er/000.png"]


def test_links_are_followed_once(tree):
    root = tree({"a": [1]})
    (root / "a" / "again").symlink_to(root / "a", target_is_directory=True)
    (root / "linked").symlink_to(root / "a", target_is_directory=True)
    assert len(list(walk_images(root / "linked"))) == 1


@pytest.mark.parametrize(
    "empty", [Image.new("RGB", (0, 5)), Image.new("I;16", (5, 0)), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_image_without_pixels_is_not_read(empty):
    with pytest.raises(UnreadableError, match="no pixels"):
        decode(empty, 8)
