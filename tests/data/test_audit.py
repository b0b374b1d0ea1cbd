"""What is found in a set of images, and what is not."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from longtail.data import DataOptions, load_data
from longtail.data import near as near_module
from longtail.data.audit import Audit, audit_loaded, check
from longtail.data.audit.look import look
from longtail.data.near import DISTANCE, alike, closest
from longtail.data.opening import UnreadableError
from longtail.types import InputError


def photo(seed, size=(96, 80)):
    """A picture with large and small things in it, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse, fine = (
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        for side in (5, 17)
    )
    return Image.blend(coarse, fine, 0.3)


def saved(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Make a tree: path -> what to write, an image (as JPEG or by its suffix) or bytes."""

    def make(files):
        for name, content in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content.save(path)
        return tmp_path / "photos"

    return make


def test_a_clean_set(folder):
    files = {f"{part}/{name}/{n}.jpg": photo((len(part), ord(name), n))
             for part, count in (("train", 12), ("test", 10)) for name in "ab" for n in range(count)}  # fmt: skip
    audit = check(folder(files))
    assert audit.counts == {"train": {"a": 12, "b": 12}, "test": {"a": 10, "b": 10}}
    assert not audit.has_problems
    assert audit == Audit(counts=audit.counts, shapes=audit.shapes, remarks=audit.shapes.lines())


def test_unreadable_images_are_named_and_not_counted(folder):
    whole = saved(photo(0))
    root = folder(
        {"a/1.jpg": whole, "a/2.jpg": b"", "b/3.jpg": whole[:-600], "b/4.png": b"text", "b/5.jpg": photo(1)}
    )
    audit = check(root)
    assert [path for path, _ in audit.unreadable] == ["a/2.jpg", "b/3.jpg", "b/4.png"]
    assert ("a/2.jpg", "empty") in audit.unreadable
    assert audit.counts == {"train": {"a": 1, "b": 1}}
    assert audit.has_problems


def test_odd_images_are_named(folder):
    deep = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16)
    glass, opaque = photo(1).convert("RGBA"), photo(2).convert("RGBA")
    glass.putalpha(128)
    root = folder({
        "a/print.jpg": photo(0).convert("CMYK"), "a/glass.png": glass, "a/opaque.png": opaque, "a/deep.png": deep,
        "a/moving.gif": saved(photo(3), "GIF", save_all=True, append_images=[photo(4)]),
        "a/tiny.png": photo(5, (31, 40)), "a/just.png": photo(6, (32, 32)), "b/long.png": photo(7, (201, 40)),
        "b/plain.png": photo(8, (200, 40)),
    })  # fmt: skip
    found = {Path(path).stem: reason for path, reason in check(root).suspicious}
    assert found == {
        "print": "in CMYK, made for print",
        "glass": "transparent, read as on white",
        "deep": "with 16 bits a value, of which 8 are kept",
        "moving": "animated, of which the first frame is kept",
        "tiny": "very small (31 x 40 pixels)",
        "long": "very long and narrow (201 x 40 pixels)",
    }


def test_sixteen_bits_of_colour_are_noticed():
    import struct
    import zlib

    rows = b"".join(b"\0" + bytes(range(192)) for _ in range(32))
    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    assert look(data).odd == ("with 16 bits a value, of which 8 are kept",)


def test_duplicates_are_found_where_they_are(folder):
    one, other = saved(photo(0)), photo(1)
    root = folder({
        "train/a/1.jpg": one, "train/a/2.jpg": one,
        "train/b/3.png": other, "test/b/4.bmp": other,
        "train/b/5.jpg": photo(2), "test/a/6.jpg": photo(2).resize((60, 50)),
        "train/a/7.jpg": photo(3),
    })  # fmt: skip
    found = [(d.kind, d.paths, d.leaks, d.conflicts) for d in check(root).duplicates]
    assert found == [
        ("near", ("train/b/5.jpg", "test/a/6.jpg"), True, True),
        ("exact", ("train/b/3.png", "test/b/4.bmp"), True, False),
        ("exact", ("train/a/1.jpg", "train/a/2.jpg"), False, False),
    ]


def test_a_copy_of_a_copy_stands_with_what_looks_like_it(folder):
    one = saved(photo(0))
    root = folder(
        {"a/1.jpg": one, "a/2.jpg": one, "b/3.jpg": saved(photo(0), quality=30), "b/4.jpg": photo(1)}
    )
    found = {(d.kind, d.paths) for d in check(root).duplicates}
    assert found == {("exact", ("a/1.jpg", "a/2.jpg")), ("near", ("a/1.jpg", "b/3.jpg"))}


def test_a_pair_is_listed_once(folder):
    """A copy under another label, in a burst: the label is wrong once, and the burst is a set that looks alike."""
    one, burst = saved(photo(0)), [saved(photo(0), quality=q) for q in (30, 50)]
    files = {"fox/1.jpg": one, "deer/1.jpg": one, "deer/2.jpg": burst[0], "deer/3.jpg": burst[1]}
    audit = check(folder(files))
    assert [(d.kind, d.conflicts) for d in audit.duplicates] == [("exact", True), ("near", False)]
    assert sorted(audit.duplicates[1].paths) in (
        ["deer/1.jpg", "deer/2.jpg", "deer/3.jpg"],
        ["deer/2.jpg", "deer/3.jpg", "fox/1.jpg"],
    )
    audit = check(folder(files | {"lynx/1.jpg": burst[0]}))
    assert [(d.kind, d.conflicts) for d in audit.duplicates][:2] == [("exact", True), ("exact", True)]
    third = check(folder(files | {"lynx/1.jpg": saved(photo(0), quality=40)}))
    assert sum(d.conflicts for d in third.duplicates if d.kind == "near") == 1  # that is another finding


CHANGES = {
    "half the size": lambda image: image.resize((48, 40)),
    "poorer": lambda image: Image.open(io.BytesIO(saved(image, quality=25))),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "flatter": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_that_leave_an_image_alike(change):
    pairs = [(photo(seed), CHANGES[change](photo(seed))) for seed in range(20)]
    looks = [look(saved(image)) for pair in pairs for image in pair]
    found = sets_of(looks)
    assert len(found) >= 18
    assert all(one % 2 == 0 and other == one + 1 for one, other in found)


def sets_of(looks):
    hashes = np.array([one.fingerprint.hash for one in looks], dtype=np.uint64)
    return alike(hashes, np.stack([one.fingerprint.thumb for one in looks]))


def test_other_images_are_not_alike():
    assert sets_of([look(saved(photo(seed))) for seed in range(200)]) == []


def test_flat_images_are_not_compared():
    flat = [look(saved(Image.new("RGB", (64, 64), (value,) * 3), "PNG")) for value in (90, 91, 200)]
    assert sets_of(flat) == []


def test_no_pair_within_the_distance_is_lost(monkeypatch):
    monkeypatch.setattr(near_module, "_BLOCK", 16)
    rng = np.random.default_rng(0)
    hashes, thumb = (
        rng.integers(0, 2**64, 400, dtype=np.uint64),
        rng.integers(0, 256, (1, 256), dtype=np.uint8),
    )
    for row in range(0, 400, 2):
        bits = rng.choice(64, rng.integers(0, DISTANCE + 3), replace=False)
        hashes[row + 1] = hashes[row] ^ np.bitwise_or.reduce(
            np.uint64(1) << bits.astype(np.uint64), initial=np.uint64(0)
        )
    near = np.array([[int(a ^ b).bit_count() for b in hashes] for a in hashes]) <= DISTANCE
    expected = [[row, row + 1] for row in range(0, 400, 2) if near[row, row + 1]]
    assert near.sum() == 400 + 2 * len(expected)
    assert alike(hashes, np.repeat(thumb, 400, axis=0)) == expected
    assert 100 < len(expected) < 200


@pytest.mark.parametrize("band", range(8))
def test_one_equal_byte_is_enough(band):
    differing = sum(1 << (8 * other + other) for other in range(8) if other != band)
    hashes = np.array([12345, 12345 ^ differing], dtype=np.uint64)
    thumb = np.arange(256, dtype=np.uint8)
    assert alike(hashes, np.stack([thumb, thumb])) == [[0, 1]]


def test_hashes_of_one_byte_are_compared_across_blocks(monkeypatch):
    monkeypatch.setattr(near_module, "_BLOCK", 16)
    hashes = np.random.default_rng(0).integers(0, 2**56, 100, dtype=np.uint64) << np.uint64(8)
    hashes[50:] = hashes[:50][::-1] ^ np.uint64(sum(1 << 9 * byte for byte in range(1, 8)))
    thumbs = np.repeat(np.arange(256, dtype=np.uint8)[None], 100, axis=0)
    assert alike(hashes, thumbs) == [[row, 99 - row] for row in range(50)]


def test_an_equal_hash_is_not_enough():
    one, other = np.random.default_rng(0).integers(0, 256, (2, 256))
    thumbs = np.stack([one, other, 0.9 * one + 0.1 * other, 0.5 * one + 100]).astype(np.uint8)
    assert alike(np.full(4, 7, dtype=np.uint64), thumbs) == [[0, 2, 3]]
    mixed = np.stack([one, 0.8 * one + 0.2 * other]).astype(np.uint8)
    assert alike(np.full(2, 7, dtype=np.uint64), mixed) == []


def chain(length, step=5):
    """Hashes and thumbnails of which each is near the one before and after it, and like no other."""
    bits = np.random.default_rng(0).permutation(64)
    hashes = [np.uint64(0)]
    for row in range(1, length):
        turned = [bits[(step * row + k) % 64] for k in range(step)]
        hashes.append(hashes[-1] ^ np.bitwise_or.reduce([np.uint64(1) << np.uint64(bit) for bit in turned]))
    return np.array(hashes), np.repeat(np.arange(256, dtype=np.uint8)[None], length, axis=0)


def test_a_chain_of_images_is_no_set():
    hashes, thumbs = chain(9)
    distance = np.array([[int(a ^ b).bit_count() for b in hashes] for a in hashes])
    assert distance[0, 8] > 3 * DISTANCE  # the ends have nothing in common
    found = alike(hashes, thumbs)
    assert {row for rows in found for row in rows} == set(range(9))
    assert max(map(len, found)) == 2
    assert all((distance[rows][:, rows].min(axis=0) <= DISTANCE).all() for rows in found)


def test_each_claim_of_a_chain_is_of_two_images_that_are_alike():
    hashes, thumbs = chain(9)
    parts, classes = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1, 1, 1, 1])
    found = alike(hashes, thumbs, [parts, classes])
    assert [rows for rows in found if len(set(parts[rows])) > 1] == [[5, 6]]
    assert [rows for rows in found if len(set(classes[rows])) > 1] == [[2, 3]]


def test_every_image_with_its_like_in_another_part_is_in_a_set_that_says_so():
    rng = np.random.default_rng(1)
    centres = rng.integers(0, 2**64, 20, dtype=np.uint64)
    hashes = rng.choice(centres, 300)
    for _ in range(5):
        hashes ^= np.uint64(1) << rng.integers(0, 64, 300).astype(np.uint64)
    parts = (rng.random(300) < 0.1).astype(np.int64)
    thumbs = np.repeat(np.arange(256, dtype=np.uint8)[None], 300, axis=0)
    near = np.array([[int(a ^ b).bit_count() for b in hashes] for a in hashes]) <= DISTANCE
    found = alike(hashes, thumbs, [parts])
    leaking = {row for rows in found if len(set(parts[rows])) > 1 for row in rows}
    assert {row for row in range(300) if (near[row] & (parts != parts[row])).any()} <= leaking
    assert {row for row in range(300) if near[row].sum() > 1} == {row for rows in found for row in rows}
    assert all(near[rows][:, rows].all(axis=1).any() for rows in found)  # one that all others look like
    assert found == alike(hashes, thumbs, [parts])


def test_the_closest_pair_shows_what_is_claimed():
    one, other = np.random.default_rng(0).integers(0, 256, (2, 256))
    thumbs = np.stack([one, 0.95 * one + 0.05 * other, 0.9 * one + 0.1 * other, one]).astype(np.uint8)
    codes = np.eye(2, dtype=bool)
    assert closest(thumbs, codes[[0, 1, 0, 0]]) == (0, 1)
    assert closest(thumbs, codes[[0, 0, 1, 1]]) == (0, 3)
    assert closest(thumbs, codes[[0, 0, 0, 0]]) is None
    assert closest(thumbs, np.array([[1, 1], [1, 0], [0, 1], [1, 1]], dtype=bool)) == (1, 2)


def test_testing_with_parts(folder):
    files = {f"train/{name}/{n}.jpg": photo((1, ord(name), n)) for name, count in {"a": 3, "b": 2, "c": 1}.items()
             for n in range(count)}  # fmt: skip
    files |= {f"test/a/{n}.jpg": photo((2, n)) for n in range(10)}
    files |= {f"test/b/{n}.jpg": photo((3, n)) for n in range(9)} | {"test/x/0.jpg": photo((4, 0))}
    audit = check(folder(files))
    assert audit.classes == ("a", "b", "c")
    assert (audit.not_tested, audit.too_small, audit.single_image) == (("c",), ("b",), ("c",))
    assert audit.unknown_classes == {"x": 1}
    assert audit.counts["train"]["x"] == 0


def test_testing_where_nothing_is_divided_yet(folder):
    files = {f"{name}/{n}.jpg": photo((ord(name), n)) for name, count in {"a": 48, "b": 12, "c": 2}.items()
             for n in range(count)}  # fmt: skip
    audit = check(folder(files))
    assert audit.is_flat
    assert audit.held_out == {"a": 10, "b": 2, "c": 0}
    assert (audit.not_tested, audit.too_small) == (("c",), ("b",))


def test_groups_that_are_held_out_whole_leave_a_class_untested(folder):
    root = folder({f"{name}/{n}.jpg": photo((ord(name), n)) for name in "ab" for n in range(10)})
    rows = [f"{name}/{n}.jpg,{name},{'one' if name == 'a' else n}" for name in "ab" for n in range(10)]
    (root / "photos.csv").write_text("\n".join(["path,label,group", *rows]))
    assert check(root / "photos.csv").held_out == {"a": 0, "b": 2}
    assert check(root / "photos.csv").not_tested == ("a",)


def test_groups_that_straddle(folder):
    root = folder({
        f"{part}/{name}/{cam}/{n}.jpg": photo((len(part), ord(name), ord(cam[-1]), n))
        for part, name, cam in (
            ("train", "a", "cam1"), ("test", "b", "cam1"), ("train", "a", "cam2"), ("test", "b", "cam3"),
        )
        for n in range(2)
    })  # fmt: skip
    audit = check(root, group_by="folder:2")
    assert [tuple(one) for one in audit.leaking_groups] == [("cam1", ("train", "test"), 4)]
    assert audit.num_groups == 3
    assert check(root).num_groups is None
    with pytest.raises(InputError, match="folder:4"):
        check(root, group_by="folder:4")


def test_classes_that_only_look_alike_are_reported(folder):
    root = folder(
        {"train/café/1.jpg": photo(0), "train/b/1.jpg": photo(1), "test/cafe\u0301/1.jpg": photo(2)}
    )
    audit = check(root)
    assert audit.remarks[:-1] == (
        "classes that differ in spaces, _, capitals or the form of letters alone, kept apart: "
        r"'cafe\u0301' = 'caf\xe9'",
    )


def test_nothing_readable_at_all(folder):
    audit = check(folder({"a/1.jpg": b"", "b/1.jpg": b"no"}))
    assert (audit.classes, audit.duplicates, len(audit.unreadable)) == ((), (), 2)


def test_progress_reaches_the_end(folder):
    steps = []
    check(folder({"a/1.jpg": photo(0), "b/1.jpg": b""}), progress=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_what_loading_found_is_in_the_contract(folder):
    one = saved(photo(0))
    root = folder({
        "train/a/1.jpg": one, "train/a/2.jpg": photo(1), "train/b/1.jpg": photo(2), "train/b/2.jpg": b"",
        "test/b/1.jpg": one, "test/x/1.jpg": photo(3),
    })  # fmt: skip
    data = load_data(DataOptions(name="folder", path=str(root)))
    audit = audit_loaded(data)
    contents = json.loads(json.dumps(audit.contents()))
    assert contents == {
        "counts": {"train": {"a": 2, "b": 1}, "test": {"a": 0, "b": 1, "x": 1}},
        "unreadable": [{"path": "train/b/2.jpg", "reason": "empty"}],
        "duplicates": [
            {
                "kind": "exact", "paths": ["train/a/1.jpg", "test/b/1.jpg"], "splits": ["train", "test"],
                "classes": ["a", "b"], "leak": ["train/a/1.jpg", "test/b/1.jpg"],
                "conflict": ["train/a/1.jpg", "test/b/1.jpg"],
            }
        ],
        "leaking_groups": [], "not_tested": ["a"], "single_image": ["b"], "too_small": ["b"], "suspicious": [],
        "unknown_classes": {"x": 1}, "remarks": [*data.notes.remarks, *audit.shapes.lines("crop")],
        "left_out": [], "repaired": [],
        "files": {"seen": 6, "used": 4, "unreadable": 1, "unknown_classes": 1, "not_drawn": 0, "left_out": 0},
        "bits": 16,
        "shapes": audit.shapes.contents(),
        "checked_near": False,
    }  # fmt: skip
    assert contents.keys() == check(root).contents().keys()


def test_of_a_named_set_the_counts_are_reported():
    data = load_data(DataOptions(name="digits"))
    audit = audit_loaded(data)
    assert list(audit.counts["train"].values()) == data.class_counts.tolist()
    assert audit.duplicates == ()


def test_a_look_at_pixels_is_a_look_at_their_file():
    image = photo(0)
    stored, file = look(np.asarray(image)), look(saved(image, "PNG"))
    assert (stored.pixels, stored.fingerprint.hash) == (file.pixels, file.fingerprint.hash)
    with pytest.raises(UnreadableError, match="not an image"):
        look(b"text")
