"""The hash of what an image is made of: the same for every way to the same bytes, in memory, on disk and packed."""

import io

import numpy as np
import pytest
from PIL import Image

from longtail.data import DataOptions, load_data, load_test
from longtail.data.content import content_hash, content_number, to_text
from longtail.data.images import decode, decode_all, decode_box, measure
from longtail.data.opening import UnreadableError
from longtail.data.packing import pack


@pytest.fixture
def photos(tmp_path):
    """Two classes of four images; in each, the last is a copy of the first."""
    for shade, name in ((10, "ant"), (200, "bee")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (12, 10), (shade, number, 0)).save(folder / f"{number}.png")
        (folder / "3.png").write_bytes((folder / "0.png").read_bytes())
    return tmp_path / "photos"


def hashes(path, name, **more):
    split = load_data(DataOptions(name=name, path=str(path), image_size=8, **more)).train
    return dict(zip(split.ids, to_text(split.contents), strict=True))


def test_the_same_bytes_have_the_same_hash_however_they_are_read(photos, tmp_path):
    files = {
        f"{name}/{n}.png": content_hash(photos / name / f"{n}.png")
        for name in ("ant", "bee")
        for n in range(4)
    }
    assert len(set(files.values())) == 6
    assert files["ant/0.png"] == files["ant/3.png"] == content_hash((photos / "ant/0.png").read_bytes())
    assert hashes(photos, "folder") == files
    assert hashes(photos, "folder", augment=("resized_crop",)) == files  # decoded once, and kept on disk
    pack(photos, tmp_path / "packed")
    assert hashes(tmp_path / "packed", "packed") == files
    assert hashes(tmp_path / "packed", "packed", augment=("resized_crop",)) == files
    evaluated, _ = load_test(DataOptions(name="folder", path=str(photos), image_size=8), ("bee",))
    assert to_text(evaluated.contents) == list(files.values())[4:]


def test_unreadable_images_take_no_hash_along(photos):
    (photos / "ant/1.png").write_bytes(b"no image")
    for more in ({}, {"augment": ("resized_crop",)}):
        found = hashes(photos, "folder", **more)
        assert found == {path: content_hash(photos / path) for path in found}
        assert "ant/1.png" not in found


def test_pixels_of_another_shape_are_different():
    pixels = np.zeros((2, 6, 3), dtype=np.uint8)
    assert content_number(pixels) != content_number(pixels.reshape(6, 2, 3))
    assert content_number(pixels) == content_number(pixels[:, ::-1])
    assert to_text(np.array([1, 2**64 - 1], dtype=np.uint64)) == ["0" * 15 + "1", "f" * 16]


def test_what_cannot_be_read_has_no_hash(tmp_path):
    with pytest.raises(UnreadableError, match="No such file"):
        content_hash(tmp_path / "no.png")
    stream = io.BytesIO()
    Image.new("L", (2, 2)).save(stream, "PNG")
    assert len(content_hash(stream.getvalue())) == 16


def test_what_cannot_be_read_is_named_with_its_file(tmp_path):
    file = tmp_path / "torn\x1b.jpg"
    file.write_bytes(b"torn")
    for read in (lambda: decode(file, 8), lambda: decode_box(file, (0, 0, 1, 1), 8), lambda: measure(file)):
        with pytest.raises(UnreadableError) as refused:
            read()
        assert str(refused.value) == f"{tmp_path}/torn\\x1b.jpg: not an image"
        assert refused.value.reason == "not an image"
    with pytest.raises(UnreadableError) as refused:
        decode(b"torn", 8)
    assert str(refused.value) == "not an image"
    assert decode_all([file], 1, 8).bad == {0: "not an image"}
