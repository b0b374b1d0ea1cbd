"""Images whose pixels are sound though their metadata or end is damaged: kept and said; cut ones are refused."""

import io
import logging
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from longtail.data import opening
from longtail.data.audit.look import look
from longtail.data.exif import minimal, orientation
from longtail.data.images import check_all, decode, decode_all, shrunk
from longtail.data.loading import load_data
from longtail.data.opening import UnreadableError
from longtail.data.repairing import METADATA, NO_END
from longtail.data.source_kinds import options_of

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8))


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, body, crc=None):
    checked = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", checked)


def png_with(*chunks):
    whole = saved(NOISE, "PNG")
    place = whole.index(b"IDAT") - 4
    return whole[:place] + b"".join(chunks) + whole[place:]


def jpeg_with(*segments, **options):
    whole = saved(NOISE, "JPEG", **options)
    parts = b"".join(struct.pack(">BBH", 255, marker, len(body) + 2) + body for marker, body in segments)
    return whole[:2] + parts + whole[2:]


def tiff_with_damaged_tags(compression):
    whole = saved(NOISE, "TIFF", compression=compression, icc_profile=bytes(40), description="words " * 9)
    data = bytearray(whole)
    (start,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", whole, place)[0] in (270, 34675):
            struct.pack_into("<I", data, place + 8, 10**6)
    return bytes(data)


def tiff(compression, pieces, layout):
    """A grey TIFF of 64 columns whose pixels, in strips or tiles as the layout says, come last in the file."""
    tags = {256: 64, 257: 32, 258: 8, 259: compression, 262: 1, 277: 1, **layout}
    places, counts = (324, 325) if 322 in tags else (273, 279)
    start, tags[places], tags[counts] = 14 + 12 * (len(tags) + 2) + 8 * len(pieces), None, None
    offsets = np.cumsum([start, *map(len, pieces)])[:-1].tolist()
    listed = b""
    for tag in sorted(tags):
        if tag in (places, counts):
            where = start - 8 * len(pieces) + (tag == counts) * 4 * len(pieces)
            listed += struct.pack("<HHII", tag, 4, len(pieces), where)
        else:
            listed += struct.pack("<HHII", tag, 4, 1, tags[tag])
    lengths = [len(piece) for piece in pieces]
    numbers = struct.pack(f"<{2 * len(pieces)}I", *offsets, *lengths)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + listed + bytes(4) + numbers + b"".join(pieces)


def as_strips(compression, pack):
    return tiff(compression, [pack(GREY[row : row + 8]) for row in range(0, 32, 8)], {278: 8})


def as_tiles(compression, pack):
    tiles = [pack(GREY[row : row + 16, column : column + 32]) for row in (0, 16) for column in (0, 32)]
    return tiff(compression, tiles, {322: 32, 323: 16})


def as_jpeg(values):
    return saved(Image.fromarray(values), "JPEG", quality=95)


GREY = RNG.integers(0, 256, (32, 64), dtype=np.uint8)
TIFFS = {
    "strips": as_strips(1, np.ndarray.tobytes),
    "tiles": as_tiles(1, np.ndarray.tobytes),
    "packed strips": as_strips(8, lambda values: zlib.compress(values.tobytes())),
    "packed tiles": as_tiles(8, lambda values: zlib.compress(values.tobytes())),
    "JPEG strips": as_strips(7, as_jpeg),
    "JPEG tiles": as_tiles(7, as_jpeg),
    **{
        f"{packed} with its tags last": saved(NOISE, "TIFF", compression=packed)
        for packed in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")
    },
}
WEBP = saved(NOISE, "WEBP", lossless=True, exif=minimal(1))
DAMAGED = {
    "text with a wrong sum": png_with(chunk(b"zTXt", b"k\0\0abc", 1)),
    "profile with a wrong sum": png_with(chunk(b"iCCP", b"x\0\0abc", 1)),
    "text that unpacks to too much": png_with(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**21)))),
    "gamma cut short": png_with(chunk(b"gAMA", b"a")),
    "Photoshop's segment cut short": jpeg_with((0xED, b"Photoshop 3.0\0" + b"8BIM\0\1")),
    "colour profile cut short": jpeg_with((0xE2, b"ICC_PROFILE\0")),
    "JFIF cut short": jpeg_with((0xE0, b"JFIF\0")),
    "tags of a TIFF": tiff_with_damaged_tags("raw"),
    "tags of a packed TIFF": tiff_with_damaged_tags("tiff_lzw"),
    "EXIF of a WebP cut": WEBP[:-5],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_metadata_does_not_decide(name):
    pixels, reading = shrunk(DAMAGED[name], 99)
    kind = "JPEG" if DAMAGED[name].startswith(b"\xff") else "PNG"
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(saved(NOISE, kind)))))
    assert reading.said == METADATA
    assert look(DAMAGED[name]).ignored == METADATA


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0" + struct.pack("<I", 99999), b"Exif\0\0garbagegarbage"])
def test_damaged_exif_leaves_an_image_as_it_lies_and_is_said_without_a_warning(kind, exif, recwarn):
    if kind == "AVIF" and b"garbage" in exif:
        pytest.skip("Pillow does not write it")
    opening.silence_pillow()
    image = Image.new("RGB", (40, 20), (200, 10, 10))
    pixels, reading = shrunk(saved(image, kind, exif=exif), 99)
    assert pixels.shape == (20, 40, 3)
    assert reading.said == opening.EXIF
    assert not list(recwarn)


def test_damage_behind_the_orientation_does_not_matter():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    assert orientation(exif.tobytes()[:-9]) == 6
    pixels, reading = shrunk(saved(Image.new("RGB", (40, 20)), "PNG", exif=exif.tobytes()[:-9]), 99)
    assert (pixels.shape, reading.said) == ((40, 20, 3), "")


def test_an_orientation_outlives_a_repair():
    data = jpeg_with((0xE1, minimal(6)), (0xED, b"Photoshop 3.0\0" + b"8BIM\0\1"))
    pixels, reading = shrunk(data, 99)
    assert (pixels.shape, reading.said) == ((50, 40, 3), METADATA)


@pytest.mark.parametrize("xmp", [b'<x tiff:Orientation="6"', b"<tiff:Orientation>6</tiff:Orientation>"])
def test_an_orientation_of_xmp_alone_is_applied(xmp):
    assert shrunk(saved(NOISE, "JPEG", xmp=xmp), 99)[0].shape == (50, 40, 3)


JPEGS = [
    {}, {"optimize": True}, {"progressive": True}, {"quality": 95, "subsampling": 0}, {"restart_marker_rows": 1},
]  # fmt: skip


@pytest.mark.parametrize("options", JPEGS)
def test_a_jpeg_without_its_end_mark_is_read_and_one_that_lacks_pixels_is_not(options):
    complete = saved(NOISE, "JPEG", **options)
    pixels = decode(complete, 40)
    found = decode_all([complete, complete[:-2], complete[:-1], complete[:-2] + bytes(999)], 4, 40)
    assert found.repaired == {1: NO_END, 2: NO_END, 3: NO_END}
    assert all(np.array_equal(image.numpy(), pixels) for image in found.images)
    half = complete[: len(complete) // 2]
    junk = RNG.integers(1, 255, 2 * len(complete), dtype=np.uint8).tobytes()
    cut = [complete[:-missing] for missing in (3, 4, 5, 9, 30, 200)]
    assert list(check_all([*cut, half, half + bytes(9999), half + b"\xff" * 9999, half + junk]).bad) == [
        *range(10)
    ]


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("options", JPEGS)
def test_a_cut_jpeg_of_one_colour_is_not_taken_for_complete(grey, options):
    complete = saved(Image.new("L", (64, 64), grey), "JPEG", **options)
    assert list(check_all([complete[:-3], complete[:-5], complete[:-8]]).bad) == [0, 1, 2]


def test_a_progressive_jpeg_without_its_last_scan_is_not_read():
    complete = saved(NOISE, "JPEG", progressive=True)
    last = complete.rindex(b"\xff\xda")
    assert list(check_all([complete[: complete.rindex(b"\xff\xc4", 0, last)], complete[:last]]).bad) == [0, 1]


def test_what_follows_the_end_of_a_jpeg_does_not_matter():
    assert shrunk(saved(NOISE, "JPEG") + b"trailer" * 99, 99)[1].said == ""


def test_a_png_without_its_end_is_read_and_one_that_lacks_rows_is_not():
    complete = saved(NOISE, "PNG")
    found = decode_all([complete, complete[:-12], complete[:-14], complete + b"more"], 4, 40)
    assert found.repaired == {1: NO_END, 2: NO_END}
    assert all(np.array_equal(image.numpy(), decode(complete, 40)) for image in found.images)
    assert list(check_all([complete[:-40], complete[: len(complete) // 2]]).bad) == [0, 1]


def test_a_damaged_palette_or_header_is_no_metadata():
    data = bytearray(saved(NOISE.quantize(16), "PNG"))
    place = data.index(b"PLTE") + 4
    data[place] ^= 255
    with pytest.raises(UnreadableError):
        decode(bytes(data), 8)


@pytest.mark.parametrize("name", TIFFS)
def test_a_tiff_without_its_last_bytes_is_not_read(name, capfd):
    complete, reading = shrunk(TIFFS[name], 99)
    assert reading.said == ""
    if "JPEG" not in name and "last" not in name:
        assert np.array_equal(complete[..., 0], GREY)
    for cut in range(1, 201):
        with pytest.raises(UnreadableError):
            shrunk(TIFFS[name][:-cut], 99)
    assert capfd.readouterr() == ("", "")


def test_damage_that_libtiff_goes_on_after_is_found_and_not_printed(capfd):
    fax = saved(NOISE.convert("1"), "TIFF", compression="group4")
    for place in range(8, 300, 7):
        data = bytearray(fax)
        data[place : place + 3] = b"\x55\xaa\x55"
        with pytest.raises(UnreadableError):
            shrunk(bytes(data), 99)
    assert capfd.readouterr() == ("", "")
    assert shrunk(fax, 99)[1].said == ""


def test_pillow_logs_nothing_to_the_terminal(capfd):
    logging.getLogger("PIL.TiffImagePlugin").error("more samples than can be decoded")
    assert capfd.readouterr() == ("", "")


def test_warnings_of_pillow_alone_are_silenced():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        opening.silence_pillow()
        warnings.warn_explicit("Corrupt EXIF data", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")
        warnings.warn_explicit("mine", UserWarning, "x.py", 1, module="mine")
    assert [str(one.message) for one in seen] == ["mine"]


def test_notes_name_what_was_repaired_and_strict_does_not_refuse(tree):
    root = tree({"train/a": [1, 2, 3, 4], "train/b": [5, 6, 7, 8], "test/a": [9], "test/b": [10]})
    for part, grey in (("train", 30), ("test", 60)):
        file = root / part / "a" / "noend.png"
        file.write_bytes(saved(Image.new("RGB", (8, 8), (grey,) * 3), "PNG")[:-12])
    data = load_data(options_of(root).model_copy(update={"strict": True}))
    assert data.notes.repaired == (("train/a/noend.png", NO_END), ("test/a/noend.png", NO_END))
    assert any("noend.png" in line for line in data.notes.lines())
    assert not data.notes.lines(problems_only=True)
