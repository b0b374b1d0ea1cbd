"""Images that are valid, and not what most people mean by an image: what becomes of their pixels."""

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from longtail.data import opening
from longtail.data.images import check_all, decode, decode_box, decode_small, measure
from longtail.data.opening import UnreadableError

RED, BLUE = (250, 10, 20), (10, 20, 250)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def claiming(width, height):
    """A PNG of a few bytes whose header claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (header, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_seen(kind):
    first, second = Image.new("RGB", (6, 6), RED), Image.new("RGB", (6, 6), BLUE)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(first, kind, save_all=True, append_images=[second], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert decode(data, 6)[:, 3, 3].tolist() == list(RED)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(kind):
    deep = Image.fromarray(np.array([[0x0000, 0x1234], [0xABCD, 0xFFFF]], dtype=np.uint16))
    assert decode(saved(deep, kind), 2)[0].tolist() == [[0x00, 0x12], [0xAB, 0xFF]]


def test_sixteen_bits_of_the_other_byte_order():
    deep = Image.frombytes("I;16B", (2, 1), b"\x12\x34\xab\xcd")
    assert measure(saved(deep, "TIFF")) == (1, 2)
    assert decode_small(saved(deep, "TIFF"), 9)[0, :, 0].tolist() == [0x12, 0xAB]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_what_has_no_known_white_is_refused(mode):
    data = saved(Image.new(mode, (4, 4), 1), "TIFF")
    with pytest.raises(UnreadableError, match="32 bits a value"):
        decode(data, 4)


def test_a_jpeg_for_print_keeps_its_colours():
    data = saved(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(data, 16)[:, 8, 8].astype(int) - RED).max() <= 4


def test_a_transparent_colour_of_a_palette_keeps_its_colour():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([*BLUE, *RED] + [0] * 762)
    data = saved(image, "GIF", transparency=1)
    assert decode(data, 4)[:, 0, 0].tolist() == list(RED)


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, "tl"), (2, "tr"), (3, "br"), (4, "bl"), (5, "tl"), (6, "tr"), (7, "br"), (8, "bl")],
)
def test_a_jpeg_is_turned_upright(orientation, corner):
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=95)
    seen = {"tl": (0, 0), "tr": (0, 1), "bl": (1, 0), "br": (1, 1)}
    quarters = decode(data, 32)[0].reshape(2, 16, 2, 16).mean(axis=(1, 3))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == seen[corner]
    assert np.array_equal(decode(data, 32), decode_box(data, (0, 0, 32, 32), 32).numpy())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_half_a_file_is_unreadable(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), kind)
    assert check_all([whole]).bad == {}
    assert list(check_all([whole[: len(whole) // 2], whole[:9], b""]).bad) == [0, 1, 2]


@pytest.mark.parametrize("side", [11_600, 12_000, 60_000])  # Pillow itself warns, warns, and refuses
@pytest.mark.parametrize("warned", ["error", "ignore"])
def test_a_decompression_bomb_is_not_decoded(side, warned, monkeypatch):
    def load(self):
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    if warned == "ignore":
        monkeypatch.setattr("PIL.Image.warnings.warn", lambda *_: None)
    with pytest.raises(UnreadableError) as refused:
        decode(claiming(side, side), 8)
    assert str(refused.value) == "too large: more than 134,217,728 pixels"


def test_a_large_file_is_not_read(tmp_path):
    file = tmp_path / "huge.tif"
    with file.open("wb") as opened:
        opened.truncate(opening.MAX_BYTES + 1)
    with pytest.raises(UnreadableError, match="too large: more than 1,073,741,824 bytes"):
        decode(file, 8)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableError, match="not a regular file"):
        decode(tmp_path / "pipe.jpg", 8)


def test_a_program_is_not_run():
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(UnreadableError, match="PostScript"):
        decode(data, 8)


def test_large_images_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(opening, "_LARGE", 100)
    data, inside, most = saved(Image.new("L", (20, 20)), "PNG"), [], []
    load = Image.Image.convert

    def slowly(self, *words):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()
        return load(self, *words)

    monkeypatch.setattr(Image.Image, "convert", slowly)
    assert check_all([data] * 40).bad == {}
    assert max(most) == 1
