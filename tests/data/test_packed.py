"""Packed sets: what goes in comes out, what is wrong is reported, and boxes are those of the files."""

import json
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from longtail.augment import Augment
from longtail.data import DataOptions, batches, load_data, load_test, source_of
from longtail.data.packed_set import read_packed
from longtail.data.packing import pack
from longtail.types import InputError


@pytest.fixture
def photos(tmp_path):
    """A tree with a train and a test split, images of several sizes, one of them turned and one grey."""
    rng = np.random.default_rng(0)

    def make(height, width, file, **options):
        path = tmp_path / "photos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path, **options)

    exif = Image.Exif()
    exif[0x0112] = 6
    for number, (height, width) in enumerate([(20, 30), (30, 20), (16, 16), (40, 17)]):
        make(height, width, f"train/ant/{number}.png")
        make(height + 1, width, f"train/bee/{number}.jpg")
    make(18, 25, "train/bee/turned.png", exif=exif)
    Image.open(tmp_path / "photos/train/ant/0.png").convert("L").save(tmp_path / "photos/train/cat.png")
    (tmp_path / "photos/train/cat").mkdir()
    (tmp_path / "photos/train/cat.png").rename(tmp_path / "photos/train/cat/grey.png")
    make(22, 22, "test/ant/9.png")
    make(24, 24, "test/wasp/9.png")
    return tmp_path / "photos"


def load(path, name="packed", **values):
    return load_data(DataOptions(name=name, path=str(path), **{"image_size": 8} | values))


def test_what_goes_in_comes_out(photos, tmp_path):
    out, steps = tmp_path / "packed", []
    counts, bad, *_ = pack(photos, out, progress=lambda *step: steps.append(step))
    assert (counts, bad) == ({"train": 10, "test": 2}, [])
    assert steps == [(number, 12) for number in range(1, 13)]
    assert (source_of(out), source_of(photos)) == ("packed", "folder")
    manifest = json.loads((out / "packed.json").read_text())
    assert (manifest["source"], manifest["short_side"]) == (str(photos.resolve()), 256)
    packed, files = load(out), load(photos, "folder")
    assert packed.class_names == files.class_names == ("ant", "bee", "cat")
    assert packed.notes == files.notes
    for name in ("train", "test"):
        a, b = getattr(packed, name), getattr(files, name)
        assert a.ids == b.ids
        assert torch.equal(a.targets, b.targets)
        assert torch.equal(a.images, b.images)
    assert packed.index_hash == files.index_hash
    assert load_test(DataOptions(name="packed", path=str(out), image_size=8), ("ant",))[0].ids == (
        "test/ant/9.png",
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_boxes_are_those_of_the_files(photos, tmp_path, workers):
    pack(photos, tmp_path / "packed")
    augment = Augment(("resized_crop",), (0.5,) * 3, (0.2,) * 3)
    draws = [partial(augment.boxes, keys=augment.keys(3, 1, view, "cpu")) for view in range(2)]
    packed, files = (
        load(path, name, augment=("resized_crop",), imbalance_factor=4, max_count=4, subset="seeded")
        for path, name in ((tmp_path / "packed", "packed"), (photos, "folder"))
    )
    order = torch.randperm(len(files.train), generator=torch.Generator().manual_seed(0))

    def shown(split, order=order, size=3):
        return list(batches(split, order, size, "cpu", workers=workers, views=draws))

    for a, b in zip(shown(packed.train), shown(files.train), strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.index, b.index)
        assert len(a.image) == 2 * len(a.index) == 2 * len(a.target)
        first, second = a.image.chunk(2)
        assert not torch.equal(first, second)
    alone = {int(b.index): b.image for b in shown(packed.train, size=1)}
    for batch in shown(packed.train):
        for view, images in enumerate(batch.image.chunk(2)):
            for index, image in zip(batch.index.tolist(), images, strict=True):
                assert torch.equal(image, alone[index][view])
    squares = next(batches(packed.train, order, 20, "cpu", workers=workers)).image
    assert torch.equal(
        squares, load(photos, "folder", imbalance_factor=4, max_count=4, subset="seeded").train.images[order]
    )


def test_original_images_are_wanted_for_boxes_alone(photos):
    cropped, whole = load(photos, "folder", augment=("resized_crop",)), load(photos, "folder")
    assert not isinstance(cropped.train.images, torch.Tensor)
    assert isinstance(cropped.test.images, torch.Tensor)
    assert isinstance(whole.train.images, torch.Tensor)
    turned = cropped.train.ids.index("train/bee/turned.png")
    assert cropped.train.images.sizes[turned].tolist() == [25, 18]


def test_a_packed_set_is_not_decoded_to_find_unreadable_images(photos, tmp_path, monkeypatch):
    pack(photos, tmp_path / "packed")
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", 0)
    monkeypatch.setattr("longtail.data.reading.check_all", lambda images: pytest.fail("decoded"))
    packed = load(tmp_path / "packed")
    assert not isinstance(packed.test.images, torch.Tensor)
    assert packed.train.images.sizes[0].tolist() == [20, 30]


def test_the_hash_sees_another_pixel(photos, tmp_path):
    pack(photos, tmp_path / "one")
    image = Image.open(photos / "train/ant/0.png")
    image.putpixel((0, 0), tuple(255 - value for value in image.getpixel((0, 0))))
    image.save(photos / "train/ant/0.png")
    pack(photos, tmp_path / "two")
    first, second = (load(tmp_path / name, augment=("resized_crop",)).index_hash for name in ("one", "two"))
    assert first != second


def test_large_images_shrink_and_small_ones_stay(photos, tmp_path):
    pack(photos, tmp_path / "packed", short_side=17)
    source = read_packed(tmp_path / "packed")
    sizes = dict(zip(source.train.ids, source.train.sizes.tolist(), strict=True))
    assert sizes["train/ant/0.png"] == [17, 25]
    assert sizes["train/ant/1.png"] == [25, 17]
    assert sizes["train/ant/2.png"] == [16, 16]
    assert sizes["train/ant/3.png"] == [40, 17]
    assert sizes["train/bee/turned.png"] == [23, 17]
    picture = Image.open(photos / "train/ant/0.png").resize((25, 17), Image.Resampling.BILINEAR)
    assert np.array_equal(source.train.on_disk(0).read(), np.asarray(picture))


def test_unreadable_images_are_left_out_and_named(photos, tmp_path):
    (photos / "train/ant/1.png").write_bytes(b"")
    (photos / "test/ant/8.png").write_text("text")
    wanted = [("train/ant/1.png", "empty"), ("test/ant/8.png", "not an image")]
    with pytest.raises(InputError, match=r"not clean.* strict=True") as refused:
        pack(photos, tmp_path / "packed", strict=True)
    assert list(refused.value.details) == [f"{name} ({reason})" for name, reason in wanted]
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    counts, bad, *_ = pack(photos, tmp_path / "packed")
    assert (counts, bad) == ({"train": 9, "test": 2}, wanted)
    notes = load(tmp_path / "packed").notes.lines()
    assert (
        notes[-1] == f"2 unreadable when the set was packed, named in {tmp_path / 'packed' / 'packed.json'}"
    )
    assert load(tmp_path / "packed").train.ids == load(photos, "folder").train.ids


def test_nothing_readable_is_refused(tree, tmp_path):
    root = tree({"a": [1], "b": [2]})
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match=r"no image of .* can be read"):
        pack(root, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_parquet_and_flat_folders(parquet, encoded, tree, tmp_path):
    images = [encoded(value, size=(9, 8)) for value in range(5)]
    root = parquet("train-0.parquet", images, {"label": [1, 0, 1, 1, 0]}, names={"label": ["b", "a"]})
    pack(root, tmp_path / "one")
    packed, rows = load(tmp_path / "one"), load(root, "parquet")
    assert (packed.class_names, packed.train.ids) == (rows.class_names, rows.train.ids)
    assert torch.equal(packed.train.images, rows.train.images)
    flat = tree({"x": [1, 2], "y": [3]})
    pack(flat, tmp_path / "two")
    assert read_packed(tmp_path / "two").is_flat
    assert not read_packed(tmp_path / "one").is_flat


def test_names_that_are_no_text_come_back(tree, tmp_path):
    root = tree({"a": [1], "b": [2]})
    (root / "a" / "000.png").rename(root / "a" / "caf\udce9.png")
    pack(root, tmp_path / "packed")
    assert load(tmp_path / "packed").train.ids == ("a/caf\udce9.png", "b/000.png")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("photos", "photos exists; choose another path"),
        ("none/packed", "there is no folder .*none to make packed in"),
        ("photos/packed", "lies among the images"),
    ],
)
def test_where_a_packed_set_cannot_go(photos, tmp_path, out, message):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        pack(photos, tmp_path / out)
    assert sorted(tmp_path.rglob("*")) == before


def test_two_processes_do_not_pack_into_one_folder(photos, tmp_path):
    def meanwhile(done, total):
        with pytest.raises(InputError, match="another process packs into"):
            pack(photos, tmp_path / "packed")

    pack(photos, tmp_path / "packed", progress=meanwhile)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_pack_left_is_in_nobodys_way(photos, tmp_path):
    left = tmp_path / ".packed.01234567.partial"
    left.mkdir()
    for file in (tmp_path / ".packed.lock", left / ".lock", left / "train-0.bin"):
        file.touch()
    pack(photos, tmp_path / "packed")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_packed(photos, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        pack(tmp_path / "none", tmp_path / "packed")
    with pytest.raises(InputError, match="short side is 0"):
        pack(photos, tmp_path / "packed", short_side=0)
    pack(photos, tmp_path / "packed")
    with pytest.raises(InputError, match="is packed already"):
        pack(tmp_path / "packed", tmp_path / "again")


def test_a_stopped_pack_leaves_nothing(photos, tmp_path):
    def stop(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(photos, tmp_path / "packed", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("packed.json", lambda data: data[:50], r"packed\.json is damaged \(no sound JSON"),
        (
            "packed.json",
            lambda data: data.replace(b'"version": 1', b'"version": 2'),
            r"packed set .* has version 2, and this longtail reads up to 1; update",
        ),
        ("packed.json", lambda data: b"[]", "damaged"),
        ("packed.json", lambda data: b"[" * 10**5, "deep"),
        ("packed.json", lambda data: data.replace(b'"bytes": ', b'"bytes": -'), "bytes should be"),
        ("packed.json", lambda data: data.replace(b'"ant"', b'"bee"'), "class 'bee' is there twice"),
        ("packed.json", lambda data: data.replace(b'"train": {', b'"other": {'), "parts"),
        ("train.pixels", lambda data: data[:-1], "train.pixels and its index have"),
        ("train.index.parquet", lambda data: data[:50], "no sound packed set"),
    ],
)
def test_damage_is_reported(photos, tmp_path, file, damage, message):
    pack(photos, tmp_path / "packed")
    path = tmp_path / "packed" / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        read_packed(tmp_path / "packed")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", -1, r"labels outside 0\.\.2"),
        ("label", 3, r"labels outside 0\.\.2"),
        ("label", 0.5, "label should be whole numbers"),
        ("label", None, "label should be whole numbers"),
        ("height", -20, "sides outside"),
        ("height", 2**40, "sides outside"),
        ("width", 31, "do not follow each other"),
        ("offset", 2**62, "do not follow each other"),
        ("offset", -1, "do not follow each other"),
        ("id", 7, "id should be names"),
    ],
)
def test_an_index_that_does_not_fit_its_pixels_is_reported(photos, tmp_path, column, values, message):
    pack(photos, tmp_path / "packed")
    file = tmp_path / "packed/train.index.parquet"
    table = pq.read_table(file)
    changed = [values, *table.column(column).to_pylist()[1:]] if column != "id" else [7] * len(table)
    pq.write_table(table.set_column(table.column_names.index(column), column, [changed]), file)
    with pytest.raises(InputError, match=message) as refused:
        read_packed(tmp_path / "packed")
    assert str(refused.value).endswith("; pack it again")


@pytest.mark.parametrize("limit", [0, 2**30], ids=["on disk", "in memory"])
def test_other_pixels_than_were_packed_are_refused_and_the_image_named(photos, tmp_path, monkeypatch, limit):
    pack(photos, tmp_path / "packed")
    file = tmp_path / "packed/train.pixels"
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", limit)
    first = pq.read_table(tmp_path / "packed/train.index.parquet").column("id").to_pylist()[0].decode()
    with pytest.raises(InputError, match=f"train.pixels is damaged .*{first}.*; pack the set again"):
        load(tmp_path / "packed").train.images.read(0)


def test_a_flipped_bit_in_an_index_is_reported(photos, tmp_path):
    """Where it alters a number or a name, nothing but a checksum tells."""
    out = tmp_path / "packed"
    pack(photos, out)
    file = out / "train.index.parquet"
    data = file.read_bytes()
    columns = pq.read_metadata(file).row_group(0)
    for number in range(columns.num_columns):
        column = columns.column(number)
        last = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
        file.write_bytes(data[:last] + bytes([data[last] ^ 1]) + data[last + 1 :])
        with pytest.raises(InputError, match="no sound packed set"):
            load(out)
    file.write_bytes(data)
    load(out)


def test_another_folder_is_no_packed_set(photos):
    with pytest.raises(InputError, match=r"has no packed.json; make a packed set with"):
        read_packed(photos)
