"""Images of 16 bits a value that use fewer: found for all training images together, and read alike everywhere."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from longtail.data.audit import check
from longtail.data.depth import UPPER, bits_of
from longtail.data.images import UnreadableError, decode, decode_all, decode_box, shrunk
from longtail.data.loading import load_data, load_test
from longtail.data.packing import pack
from longtail.data.source_kinds import options_of
from longtail.types import InputError

RNG = np.random.default_rng(0)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colour_png(values, kind=2):
    """Values (H, W, C) of 16 bits as a PNG, which Pillow does not write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0),
        b"IDAT" + zlib.compress(rows), b"IEND",
    ]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in chunks
    )


def colour_tiff(values, order="<", kind=2, extra=()):
    """Values (H, W, C) of 16 bits as a TIFF, which Pillow does not write."""
    height, width, channels = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 8 + len(pixels)), (259, 3, 1, 1), (262, 3, 1, kind),
        (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(pixels)), *extra,
    ]  # fmt: skip
    listed = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + (
            struct.pack(f"{order}HH", value, 0)
            if kind == 3 and count == 1
            else struct.pack(f"{order}I", value)
        )
        for tag, kind, count, value in entries
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels) + 2 * channels)
    depths = struct.pack(f"{order}{channels}H", *[16] * channels)
    return head + pixels + depths + struct.pack(f"{order}H", len(entries)) + listed + bytes(4)


GREY, COLOUR = RNG.integers(0, 4096, (8, 8)), RNG.integers(0, 4096, (8, 8, 3))
FILES = {
    "PNG": (saved(Image.fromarray(GREY.astype(np.uint16)), "PNG"), GREY),
    "TIFF": (saved(Image.fromarray(GREY.astype(np.uint16)), "TIFF"), GREY),
    "packed TIFF": (saved(Image.fromarray(GREY.astype(np.uint16)), "TIFF", compression="tiff_lzw"), GREY),
    "big-endian TIFF": (saved(Image.frombytes("I;16B", (8, 8), GREY.astype(">u2").tobytes()), "TIFF"), GREY),
    "PGM": (b"P5 8 8 65535\n" + GREY.astype(">u2").tobytes(), GREY),
    "plain PGM": (b"P2 8 8 65535\n" + " ".join(map(str, GREY.ravel())).encode(), GREY),
    "PPM of colours": (b"P6 8 8 65535\n" + COLOUR.astype(">u2").tobytes(), COLOUR),
    "plain PPM of colours": (
        b"P3 # plain\n8 8\n# white\n65535\n" + " ".join(map(str, COLOUR.ravel())).encode(),
        COLOUR,
    ),
    "PNG of colours": (colour_png(COLOUR), COLOUR),
    "PNG of colours with transparency": (colour_png(np.dstack([COLOUR, np.full((8, 8), 65535)]), 6), COLOUR),
    "PNG of grey with transparency": (colour_png(np.dstack([GREY, np.full((8, 8), 65535)]), 4), GREY),
    "TIFF of colours": (colour_tiff(COLOUR), COLOUR),
    "TIFF of colours and something": (colour_tiff(np.dstack([COLOUR, GREY]), extra=[(338, 3, 1, 0)]), COLOUR),
    "big-endian TIFF of colours": (colour_tiff(COLOUR, ">"), COLOUR),
}


@pytest.mark.parametrize("name", FILES)
def test_the_upper_eight_of_the_bits_that_count_are_kept(name):
    data, values = FILES[name]
    values = np.broadcast_to(values.reshape(8, 8, -1), (8, 8, 3)).transpose(2, 0, 1)
    for bits in (8, 10, 12, 14, 16):
        wanted = np.minimum(values >> (bits - 8), 255)
        assert np.array_equal(decode(data, 8, bits), wanted)
        assert np.array_equal(decode_box(data, (0, 0, 8, 8), 8, bits=bits).numpy(), wanted)
    assert bits_of(decode_all([data], 1, 8).largest.values()) == 12


def test_lower_bits_that_cannot_be_read_are_named():
    ink = colour_tiff(np.dstack([COLOUR, GREY]), kind=5)
    assert shrunk(ink, 9, 12)[1].ignored == [UPPER]
    assert shrunk(ink, 9, 16)[1].ignored == []


def test_values_of_which_the_file_states_the_white_need_no_range():
    ramp = np.array([[0, 1024], [2048, 4095]])
    data = b"P5 2 2 4095\n" + ramp.astype(">u2").tobytes()
    assert decode(data, 2, 12)[0].ravel().tolist() == pytest.approx([0, 64, 128, 255], abs=1)
    assert np.array_equal(decode(data, 2, 12), decode(data, 2, 16))
    assert decode_all([data], 1, 2).largest == {}
    colours = b"P6 2 2 4095\n" + np.repeat(ramp.astype(">u2"), 3).tobytes()
    assert np.array_equal(decode(colours, 2, 16).max(axis=0), decode(data, 2, 16)[0])
    assert np.array_equal(decode(colours, 2, 12), decode(colours, 2, 16))
    assert decode_all([colours], 1, 2).largest == {}


def test_eight_bits_are_read_the_same_whatever_was_found():
    data = saved(Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)), "PNG")
    assert np.array_equal(decode(data, 8, 8), decode(data, 8, 16))
    assert decode_all([data], 1, 8).largest == {}


@pytest.mark.parametrize("mode", ["I", "F"])
def test_what_has_no_known_white_is_refused(mode):
    with pytest.raises(UnreadableError, match="32 bits a value"):
        decode(saved(Image.new(mode, (4, 4), 1), "TIFF"), 4)


@pytest.fixture
def microscope(tmp_path):
    """Class a is dark and class b bright, in 12 of 16 bits; one image of 8 bits is among them."""
    for part in ("train", "test"):
        for shade, name in enumerate("ab"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(4):
                low = 300 + 2500 * shade
                values = RNG.integers(low, low + 900, (8, 8)).astype(np.uint16)
                (folder / f"{number}.png").write_bytes(saved(Image.fromarray(values), "PNG"))
    (tmp_path / "test" / "a" / "0.png").write_bytes(
        saved(Image.fromarray(np.full((8, 8), 5000, np.uint16)), "PNG")
    )
    (tmp_path / "train" / "a" / "eight.png").write_bytes(saved(Image.new("L", (8, 8), 77), "PNG"))
    return tmp_path


@pytest.mark.parametrize("limit", [2**30, 0])
def test_one_range_is_found_for_all_training_images_and_said(microscope, limit, monkeypatch):
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", limit)
    options = options_of(microscope).model_copy(update={"image_size": 8, "strict": True})
    data = load_data(options)
    assert (data.depth.bits, data.depth.images) == (12, 8)
    assert any("12 bits" in line and "4,095" in line for line in data.notes.reading)
    for row, name in enumerate(data.train.ids):
        image = data.train.images.read(row) if limit == 0 else data.train.images[row]
        assert torch.equal(image, torch.from_numpy(decode(microscope / name, 8, 12)))
    brighter = data.test.images.read(0) if limit == 0 else data.test.images[0]
    assert int(brighter.min()) == 255


def test_the_range_can_be_given_and_tests_are_read_with_it(microscope):
    options = options_of(microscope).model_copy(update={"image_size": 8, "bits": 16})
    assert int(load_data(options).train.images.max()) == 77
    test, notes = load_test(options.model_copy(update={"bits": 12}), ("a", "b"))
    assert int(test.images.max()) == 255
    assert any("5,000" in line for line in notes.reading)


def test_the_check_says_what_training_will_do(microscope):
    (remark,) = check(microscope).remarks
    assert "12 bits" in remark
    assert "data.bits=12" in remark


def test_a_packed_set_holds_and_names_the_range_that_training_finds(microscope, tmp_path_factory):
    packed = tmp_path_factory.mktemp("packed") / "set"
    depth = pack(microscope, packed).depth
    assert (depth.bits, depth.images) == (12, 8)
    options = options_of(packed).model_copy(update={"image_size": 8})
    found = load_data(options)
    known = load_data(options_of(microscope).model_copy(update={"image_size": 8}))
    assert found.depth.bits == 12
    assert torch.equal(found.train.images, known.train.images)
    assert torch.equal(found.test.images, known.test.images)
    for read in (load_data, lambda given: load_test(given, ("a", "b"))):
        with pytest.raises(InputError, match=r"read as 12, not as 16; give the images"):
            read(options.model_copy(update={"bits": 16}))
