"""Images that are not independent stay in one split: near duplicates, bursts, frames of a video."""

import io
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image

from longtail.data import DataOptions, load_data
from longtail.data import related as related_module
from longtail.data.audit import check
from longtail.data.bursts import find_bursts
from longtail.data.dividing import divide
from longtail.data.fingerprint import Fingerprints, take_fingerprint
from longtail.data.holdout import hold_out
from longtail.data.related import find_related
from longtail.recipe import load_recipe
from longtail.search.short_training import divide as divide_for_search

NONE = float("nan")


def photo(seed, size=(72, 60)):
    """A picture with large and small things in it, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse, fine = (
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        for side in (5, 17)
    )
    return Image.blend(coarse, fine, 0.4)


def taken_at(clock, camera="Trap 3"):
    exif = Image.Exif()
    exif[0x0110] = camera
    exif.get_ifd(0x8769)[0x9003] = f"2024:05:01 {clock}"
    return exif


def jpeg(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def twins(tmp_path):
    """Two classes of twelve pictures; of each one also a smaller and a poorer version."""
    for name in ("fox", "owl"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(12):
            picture = photo((len(name), ord(name[0]), number))
            picture.save(folder / f"{number}.png")
            picture.resize((108, 90)).save(folder / f"small {number}.png")
            picture.save(folder / f"poor {number}.jpg", quality=60)
    return tmp_path / "photos"


def load(path, **more):
    return load_data(DataOptions(name="folder", path=str(path), image_size=8, validation=0.25, **more))


def torn(ids, parts):
    """Pictures with versions in several splits."""
    found = {}
    for name, part in zip(ids, parts, strict=True):
        found.setdefault(name.replace("small ", "").replace("poor ", "").split(".")[0], set()).add(part)
    return sorted(name for name, those in found.items() if len(those) > 1)


def torn_in(data):
    ids = [*data.train.ids, *data.val.ids]
    return torn(ids, ["train"] * len(data.train) + ["val"] * len(data.val))


@pytest.mark.parametrize("limit", [2**30, 0])
def test_near_duplicates_are_held_out_together_and_counted(twins, monkeypatch, limit):
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", limit)
    data = load(twins)
    assert torn_in(data) == []
    assert np.bincount(data.val.targets.numpy()).tolist() == [9, 9]
    (said,) = data.notes.reading
    for fact in ("72 images", "24 sets", "fox/0.png = ", "--no-group-copies"):
        assert fact in said
    assert data.notes.lines() == []


@pytest.mark.parametrize("limit", [2**30, 0])
def test_a_search_holds_near_duplicates_out_together_also_of_what_is_left_of_a_division(
    twins, monkeypatch, limit
):
    monkeypatch.setattr("longtail.data.reading.MEMORY_LIMIT", limit)
    for validation in (0.0, 0.25):
        options = DataOptions(name="folder", path=str(twins), image_size=8, validation=validation)
        data = load_data(options, divided_later=True)
        division = divide_for_search(data, options, seed=0)
        parts = np.repeat("train", len(data.train))
        parts[division.held] = "held"
        assert torn(data.train.ids, parts.tolist()) == []
        assert len(division.held) in (12, 18)
    assert load_data(options.model_copy(update={"validation": 0.0})).train.prints is None


@pytest.mark.parametrize("kept", [False, "identical"])
def test_near_duplicates_can_be_divided(twins, kept):
    data = load(twins, group_copies=kept)
    assert torn_in(data)
    assert data.notes.reading == ()
    names = sorted(path.relative_to(twins).as_posix() for path in twins.glob("*/*"))
    assert len(names) == 72
    _, held = hold_out(np.repeat([0, 1], 36), 2, 0.25, 0)
    assert (
        set(data.val.ids) == {sorted([*data.train.ids, *data.val.ids])[row] for row in held} or kept is False
    )


def test_identical_images_are_divided_only_where_that_is_asked_for(tmp_path):
    for name in ("fox", "owl"):
        (tmp_path / name).mkdir()
        for number in range(20):
            photo((ord(name[0]), number // 2)).save(tmp_path / name / f"{number}.png")
    apart = {kept: load(tmp_path, group_copies=kept) for kept in (True, "identical", False)}
    shared = {kept: set(data.train.contents) & set(data.val.contents) for kept, data in apart.items()}
    assert not shared[True]
    assert not shared["identical"]
    assert shared[False]
    assert any("several splits" in line for line in apart[False].notes.remarks)


def test_a_split_keeps_near_duplicates_together_unless_asked(twins, tmp_path):
    seen = []
    found = divide(twins, tmp_path, test=0.25, progress=lambda *state: seen.append(state))
    assert torn(found.paths, found.parts) == []
    assert found.groups is None
    assert any("72 images look alike, in 24 sets" in line for line in found.said)
    assert seen[-1] == (72, 72)
    free = divide(twins, tmp_path, test=0.25, group_copies=False)
    assert torn(free.paths, free.parts)
    assert not any("alike" in line for line in free.said)


def test_the_check_counts_what_training_would_hold_out(twins):
    audit = check(twins)
    assert set(audit.held_out.values()) == {6}
    assert any("72 images look alike, in 24 sets" in line for line in audit.remarks)


def test_copies_count_once_among_what_looks_alike(twins, tmp_path):
    for number in range(12):
        content = (twins / "fox" / f"{number}.png").read_bytes()
        (twins / "fox" / f"copy {number}.png").write_bytes(content)
    found = divide(twins, tmp_path, test=0.25)
    assert any("72 images look alike, in 24 sets" in line for line in found.said)
    where = dict(zip((Path(path).name for path in found.paths[:48]), found.parts[:48], strict=True))
    for number in range(12):
        names = (f"{number}.png", f"copy {number}.png", f"small {number}.png", f"poor {number}.jpg")
        assert len({where[name] for name in names}) == 1


@pytest.mark.parametrize("kept", [True, False])
def test_an_unreadable_image_is_named_and_in_no_split(twins, tmp_path, kept):
    (twins / "fox" / "torn.jpg").write_bytes(b"torn")
    found = divide(twins, tmp_path, test=0.25, group_copies=kept)
    assert len(found.paths) == sum(map(sum, found.counts.values())) == 72
    assert not any("torn" in path for path in found.paths)
    assert [name for name, _ in found.unreadable] == ["fox/torn.jpg"]
    assert check(twins).files.used == 72  # what the check counts is what is divided


def prints_of(pictures):
    return Fingerprints.of(take_fingerprint(jpeg(picture, quality=90)) for picture in pictures)


def test_a_set_that_is_too_large_makes_no_group(monkeypatch):
    monkeypatch.setattr(related_module, "LARGEST", 5)
    pictures = [photo(0).resize((60 + n, 50)) for n in range(7)] + [photo(1), photo(1).resize((50, 40))]
    names = [f"{n}.jpg" for n in range(9)]
    found = find_related(None, np.arange(9), prints_of(pictures), names, np.zeros(9, dtype=int))
    assert found.near_duplicates == [[7, 8]]
    assert found.too_large == [([0, 1, 2, 3, 4, 5, 6], 7)]
    assert len(set(found.groups)) == 8
    assert any("0.jpg = 6.jpg, a group of 7" in line for line in found.said(names))


def test_a_group_that_is_too_large_only_with_copies_is_given_with_them(monkeypatch):
    monkeypatch.setattr(related_module, "LARGEST", 5)
    pictures = [photo(0), photo(0).resize((60, 50)), *(photo(n) for n in range(1, 7))]
    pictures, names = [*pictures, *pictures[:2], *pictures[:2]], [f"{n}.jpg" for n in range(12)]
    contents = np.array([*range(8), 0, 1, 0, 1])
    found = find_related(None, contents, prints_of(pictures), names, np.zeros(12, dtype=int))
    assert found.too_large == [([0, 1], 6)]
    assert any("a group of 6" in line for line in found.said(names))


def test_sets_do_not_chain_groups_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(related_module, "LARGEST", 4)
    groups = ["a", "a", "a", "b", "b", "b", "", ""]
    pictures = [photo(0), photo(1), photo(2), photo(0), photo(3), photo(4), photo(2), photo(5)]
    pictures[3], pictures[6] = pictures[3].resize((50, 40)), pictures[6].resize((50, 40))
    found = find_related(
        groups, np.arange(8), prints_of(pictures), [str(n) for n in range(8)], np.zeros(8, dtype=int)
    )
    assert found.too_large == [([0, 3], 6)]  # would join two groups of three
    assert found.near_duplicates == [[2, 6]]
    assert found.groups[0] != found.groups[3]
    assert found.groups[2] == found.groups[6] == found.groups[0]


def test_a_class_that_looks_alike_throughout_is_divided():
    pictures = [photo(0).resize((60 + n, 50)) for n in range(6)] + [photo(n) for n in range(1, 7)]
    names, targets = [f"{n}.jpg" for n in range(12)], np.repeat([0, 1], 6)
    found = find_related(None, np.arange(12), prints_of(pictures), names, targets)
    assert found.too_large == [([0, 1, 2, 3, 4, 5], 6)]
    assert found.groups is None
    wider = find_related(None, np.arange(12), prints_of(pictures), names, np.zeros(12, dtype=int))
    assert wider.near_duplicates == [[0, 1, 2, 3, 4, 5]]
    few = find_related(None, np.arange(3), prints_of(pictures[:3]), names[:3], np.zeros(3, dtype=int))
    assert few.near_duplicates == [[0, 1, 2]]


def test_nothing_related_leaves_groups_as_they_are():
    prints = prints_of([photo(n) for n in range(4)])
    names = [f"{n}.jpg" for n in range(4)]
    assert find_related(None, np.arange(4), prints, names, np.zeros(4, dtype=int)).groups is None
    assert find_related(["x", "", "x", ""], np.arange(4), prints, names, np.zeros(4, dtype=int)).groups == [
        "x",
        "",
        "x",
        "",
    ]


def bursts(*images, cameras=None):
    names, times = zip(*images, strict=True)
    return find_bursts(names, np.array(times, dtype=float), cameras or [""] * len(names)).together


def test_bursts_count_up_and_follow_each_other():
    shots = [(f"a/IMG_{n:04}.jpg", 100.0 + 2 * n) for n in range(4)]
    assert bursts(*shots) == [[0, 1, 2, 3]]
    assert bursts(*shots[::-1]) == [[0, 1, 2, 3]]
    assert bursts(shots[0], ("a/IMG_0001.jpg", 106.0)) == []  # later
    assert bursts(shots[0], ("a/IMG_0090.jpg", 101.0)) == []  # others in between
    assert bursts(shots[0], ("a/DSC_0001.jpg", 101.0)) == []  # another stem
    assert bursts(shots[0], ("b/IMG_0001.jpg", 101.0)) == []  # another folder
    assert bursts(*shots[:2], cameras=["x", "y"]) == []
    assert bursts(("a/IMG_0000.jpg", NONE), ("a/IMG_0001.jpg", NONE)) == []  # names alone say nothing
    assert bursts(("a/x.jpg", 100.0), ("a/y.jpg", 100.0)) == []


def test_a_burst_ends():
    long = [(f"IMG_{n}.jpg", 4.0 * n) for n in range(40)]
    assert [len(found) for found in bursts(*long)] == [16, 16, 8]
    fast = [(f"IMG_{n}.jpg", 0.5 * n) for n in range(60)]
    assert bursts(*fast) == [list(range(60))]


def test_a_clock_that_was_never_set_makes_no_burst_and_is_said():
    names, groups = [f"trap/IMG_{n}.jpg" for n in range(51)], [f"{n}" for n in range(51)]
    prints = prints_of([photo(0)] * 51)
    unset = prints._replace(taken=np.full(51, 77.0))
    found = find_related(groups, np.arange(51), unset, names, np.zeros(51, dtype=int))
    assert found.bursts == []
    assert found.one_time == [list(range(51))]
    assert any(line.startswith("51 images") and names[0] in line for line in found.said(names))
    assert find_bursts(names, np.r_[np.full(50, 77.0), 78.0], [""] * 51).together == [list(range(51))]


def test_names_may_hold_the_time():
    assert bursts(("IMG_20240501_120001.jpg", NONE), ("IMG_20240501_120003.jpg", NONE)) == [[0, 1]]
    assert bursts(("20240501_120001_001.jpg", NONE), ("20240501_120001_002.jpg", NONE)) == [[0, 1]]
    assert bursts(("IMG_20240501_120001.jpg", NONE), ("IMG_20240501_120101.jpg", NONE)) == []
    assert bursts(("IMG_20241301_120001.jpg", NONE), ("IMG_20241301_120002.jpg", NONE)) == []  # month 13


def test_frames_belong_to_their_video():
    names = [f"fox/clip{c}_frame_{n}.jpg" for c in (1, 2) for n in (1, 900)]
    assert bursts(*((name, NONE) for name in names)) == [[0, 1], [2, 3]]
    assert bursts(*((name, NONE) for name in names[:2])) == []  # one video is the class itself
    assert bursts(*((f"fox/frame_{n}.jpg", NONE) for n in range(9))) == []


def test_bursts_of_files_are_held_out_together(tmp_path):
    for name in ("fox", "owl"):
        (tmp_path / name).mkdir()
        for number in range(24):
            clock = f"10:{number // 3:02}:{number % 3 + 1:02}"
            picture = photo((ord(name[0]), number))
            picture.save(tmp_path / name / f"IMG_{number:03}.jpg", exif=taken_at(clock))
    data = load(tmp_path)
    part = dict.fromkeys(data.train.ids, "train") | dict.fromkeys(data.val.ids, "val")
    for name in ("fox", "owl"):
        for first in range(0, 24, 3):
            assert len({part[f"{name}/IMG_{first + n:03}.jpg"] for n in range(3)}) == 1
    (said,) = data.notes.reading
    assert "48 images" in said
    assert "16 bursts" in said
    assert "fox/IMG_000.jpg to fox/IMG_002.jpg" in said
    assert len(data.val) == 12


def test_damaged_exif_says_nothing_of_the_time():
    exif = taken_at("10:00:01").tobytes()
    whole = take_fingerprint(jpeg(photo(0), exif=exif))
    assert whole.camera == "Trap 3"
    assert not np.isnan(whole.taken)
    for odd in (exif[:40], exif.replace(b"10:00:01", b"10:xx:01"), exif.replace(b"10:00:01", b"00:00:00")):
        found = take_fingerprint(jpeg(photo(0), exif=odd))
        assert np.isnan(found.taken)
        assert found.hash == whole.hash


def test_groups_that_span_classes_are_named_with_their_images(twins, tmp_path):
    found = divide(twins, tmp_path, test=0.25, group_by="regex:([0-9]+)[.]")
    (said,) = [line for line in found.said if "several classes" in line]
    assert "12 of 12 groups" in said
    assert "0 (fox 3, owl 3)" in said
    data = load(twins, group_by="regex:([0-9]+)[.]")
    assert any("12 of 12 groups" in line for line in data.notes.reading)


def test_a_class_that_is_mostly_taken_is_named(tmp_path):
    for name, count in (("fox", 40), ("owl", 4)):
        (tmp_path / name).mkdir()
        for number in range(count):
            photo((ord(name[0]), number)).save(tmp_path / name / f"{number}_{number // 3}.png")
    table = tmp_path / "t.csv"
    rows = [f"owl/{n}_{n // 3}.png,owl,{'x' if n < 3 else 'y'}" for n in range(4)]
    rows += [f"fox/{n}_{n // 3}.png,fox,{'xxxyyyyy'[n % 8] if n < 12 else n}" for n in range(40)]
    table.write_text("\n".join(["path,label,group", *rows]))
    taken = {seed: divide(table, tmp_path, test=0.25, seed=seed) for seed in range(6)}
    mostly = [found for found in taken.values() if found.counts["owl"][2] == 3]
    assert mostly
    assert all(any("owl (asked 1 of 4, got 3; " in line for line in found.said) for found in mostly)


def test_a_run_from_before_the_option_divides_as_it_did(tmp_path):
    sections = {"data": {"name": "folder", "path": "x"}, "method": {"name": "cross_entropy"}}
    file = tmp_path / "recipe.toml"
    file.write_text(tomli_w.dumps(sections))
    assert load_recipe(str(file))[0].data.group_copies is True
    (tmp_path / "env.json").write_text("{}")
    assert load_recipe(str(file))[0].data.group_copies == "identical"
    file.write_text(tomli_w.dumps({**sections, "data": {**sections["data"], "group_copies": False}}))
    assert load_recipe(str(file))[0].data.group_copies is False
