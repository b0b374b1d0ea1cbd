"""Which endings count as images, which are named as not decoded, and what is read of a file by its first bytes."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from longtail.data import formats
from longtail.data.formats import FORMATS, SUFFIXES, UNDECODABLE
from longtail.data.images import UnreadableError, decode, shrunk
from longtail.data.walking import walk_images

SAVED = {
    ".jfif": "JPEG", ".jpe": "JPEG", ".jif": "JPEG", ".mpo": "JPEG", ".apng": "PNG", ".dib": "DIB", ".pbm": "PPM",
    ".pnm": "PPM", ".avif": "AVIF", ".jp2": "JPEG2000",
    ".tga": "TGA", ".ico": "ICO", ".pcx": "PCX", ".qoi": "QOI", ".gif": "GIF",
    ".tif": "TIFF", ".webp": "WEBP", ".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".ppm": "PPM",
}  # fmt: skip


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("ending", "kind"), SAVED.items())
def test_what_pillow_decodes_is_found_and_read(ending, kind, tmp_path):
    if kind not in FORMATS and kind != "DIB":
        pytest.skip(f"this Pillow has no {kind}")
    file = tmp_path / f"x{ending.upper()}"
    file.write_bytes(saved(Image.new("RGB", (32, 32), (200, 40, 40)), kind))
    assert list(walk_images(tmp_path)) == [file]
    assert np.abs(decode(file, 8)[:, 4, 4].astype(int) - [200, 40, 40]).max() <= 6


def test_no_ending_is_both_decoded_and_not():
    assert not SUFFIXES & UNDECODABLE.keys()
    assert {".heic", ".cr2", ".nef", ".svg", ".psd", ".jxl", ".mp4"} <= SUFFIXES | UNDECODABLE.keys()
    assert all(
        ending == ending.lower() and ending.startswith(".") for ending in SUFFIXES | UNDECODABLE.keys()
    )


def test_no_format_runs_a_program_or_reads_other_files():
    assert not {"EPS", "WMF", "MPEG", "GRIB", "HDF5", "BUFR", "FPX", "MIC", "PSD", "PDF"} & set(FORMATS)


def test_a_format_that_is_not_listed_is_no_image_though_pillow_reads_it():
    data = saved(Image.new("RGB", (8, 8)), "SGI")
    Image.open(io.BytesIO(data)).load()
    with pytest.raises(UnreadableError, match="not an image"):
        decode(data, 8)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(20), "HEIC.*longtail.heif"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "JPEG XL"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    ],
)
def test_a_kind_that_is_not_decoded_is_named_whatever_its_ending(data, said, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "heif_reader", None)
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(UnreadableError, match=said):
        decode(tmp_path / "x.jpg", 8)


HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAF4AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j"
    "bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBp"
    "eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAGZtZGF0AAAAWigBrwngIzUt//cm/vfoXP/40BHTu79ShW3wjv9v"
    "Bb+AxtffpJrwi3H/8TiO/9aFDv8RVJYiXz941eYsF8v5+9X2yXJdb2t8QtjGRHQUXtDlBXubTiSY1reUeA=="
)  # 64 x 48 pixels: red, the upper left corner blue


def test_heic_is_found_and_read_where_its_reader_is_installed(tmp_path):
    if formats.heif_reader is None:
        pytest.skip("no reader of HEIC: pip install pi-heif (the extra heif)")
    assert ".heic" in SUFFIXES
    for name in ("x.HEIC", "x.jpg"):
        (tmp_path / name).write_bytes(HEIC)
    assert len(list(walk_images(tmp_path))) == 2
    for file in walk_images(tmp_path):
        pixels = shrunk(file, 48)[0]
        assert pixels.shape == (48, 64, 3)
        assert np.abs(pixels[[0, -1], [0, -1]].astype(int) - [[0, 0, 254], [200, 40, 40]]).max() <= 6
    with pytest.raises(UnreadableError):
        decode(HEIC[:300], 8)
