"""`longtail data check`: what it says, writes and refuses."""

import csv
import errno
import io
import json
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photos import make_photos
from PIL import Image

from longtail.data.audit import Audit, check
from longtail.report.data_plot import plot_counts
from longtail.report.data_text import Wording, audit_lines
from longtail.runs.folder import RunFolder

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
FILES = ["audit.json", "counts.csv", "counts.png", "duplicates.csv"]


@pytest.fixture
def flawed(photos: Path) -> Path:
    """Three classes with one unreadable image, one copy across splits under another label, and an untested class."""
    (photos / "train" / "fox" / "bad.png").write_bytes(b"")
    shutil.copy(photos / "train" / "fox" / "fox 0.png", photos / "test" / "owl" / "copy.png")
    shutil.rmtree(photos / "test" / "lynx")
    (photos / "train" / "wolf").mkdir()
    return photos


def section(text: str, name: str) -> list[str]:
    """The lines below a heading, up to the next empty line."""
    return text.partition(f"\n{name}\n")[2].partition("\n\n")[0].splitlines()


def test_what_is_said(run: Run, flawed: Path) -> None:
    code, out, err = run("data", "check", flawed)
    assert code == 0
    (first,) = err.splitlines()
    assert first.startswith(f"looking at {flawed}: ")
    lines = out.splitlines()
    assert lines[:4] == [
        f"Images of {flawed}", "split  images  classes", "train      12        3", "test        5        2"
    ]  # fmt: skip
    assert "lynx   few        4     0" in lines
    assert "Imbalance factor 3.0: 6 images of fox, 2 of owl." in lines
    assert "Classes: many (more than 100 images): 0, medium (20 to 100): 0, few (fewer than 20): 3." in lines
    assert section(out, "Files") == [
        "1 image cannot be read: train/fox/bad.png (empty)",
        "17 images very small: train/fox/fox 0.png (12 x 12 pixels), train/fox/fox 1.png (12 x 12 pixels), "
        "train/fox/fox 2.png (12 x 12 pixels), train/fox/fox 3.png (12 x 12 pixels), "
        "train/fox/fox 4.png (12 x 12 pixels) and 12 more",
    ]
    assert section(out, "Duplicates") == [
        "2 images that are the same, in 1 set (1 across splits, 1 with different labels)",
        "  LEAK, LABELS DIFFER: train/fox/fox 0.png [fox], test/owl/copy.png [owl]",
    ]
    *testing, advice = section(out, "Testing")
    assert "no validation split" in advice
    assert testing == [
        "1 class not tested, without an image to test on: lynx",
        "2 classes with too few images to say, fewer than 10 to test on: fox, owl",
        "1 class without any readable image, left out: wolf",
    ]
    steps = section(out, "What to do")
    assert [line.partition(",")[0] for line in steps] == [
        "1. 1 set of duplicates across splits", "2. 1 set of duplicates with different labels",
        "3. 1 image unreadable", "4. 1 class without a test", f"5. 3 classes to train on: longtail train '{flawed}'",
    ]  # fmt: skip


def test_strict_ends_with_1_where_there_is_a_problem(run: Run, flawed: Path, tmp_path: Path) -> None:
    code, out, _ = run("data", "check", flawed, "--strict", "-o", tmp_path / "found")
    assert code == 1
    assert "What to do" in out
    assert sorted(file.name for file in (tmp_path / "found").iterdir()) == FILES
    clean = make_photos(tmp_path / "clean", {"train": {"a": 2, "b": 2}, "test": {"a": 1, "b": 1}})
    assert run("data", "check", clean, "--strict")[0] == 0


def test_the_files(run: Run, flawed: Path, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    code, out, _ = run("data", "check", flawed, "-o", found)
    assert code == 0
    assert out.splitlines()[-1] == f"{found}: {', '.join(FILES)}"
    audit = json.loads((found / "audit.json").read_text())
    assert audit["counts"]["test"] == {"fox": 2, "lynx": 0, "owl": 3, "wolf": 0}
    assert audit["checked_near"] is True
    rows = list(csv.DictReader(io.StringIO((found / "duplicates.csv").read_text())))
    assert [(row["set"], row["split"], row["class"], row["across_parts"]) for row in rows] == [
        ("1", "train", "fox", "yes"), ("1", "test", "owl", "yes")
    ]  # fmt: skip
    assert (found / "counts.csv").read_text().splitlines() == [
        "class,group,train,test", "fox,few,6,2", "lynx,few,4,0", "owl,few,2,3"
    ]  # fmt: skip
    assert f"less {found / 'duplicates.csv'}" in out
    with Image.open(found / "counts.png") as picture:
        assert picture.width > 1000


def test_groups_and_the_command_that_mends_them(run: Run, photos: Path) -> None:
    code, out, _ = run("data", "check", photos, "--group-by", "regex:([0-9]+).png", "--strict")
    assert code == 1
    heading = "Groups by regex:([0-9]+).png"
    assert section(out, heading) == [
        "2 of 6 groups in several splits: 0 (6 images in train, test), 1 (6 images in train, test)"
    ]
    assert section(out, "What to do")[0] == (
        f"1. 2 groups in several splits, divide again: longtail data split '{photos}' -o splits.csv "
        "--again --group-by 'regex:([0-9]+).png'"
    )


def test_a_set_without_parts_is_divided_by_its_groups_first(run: Run, photos: Path) -> None:
    _, out, _ = run("data", "check", photos / "train", "--group-by", "regex:([0-9]+).png")
    assert section(out, "What to do")[-1].endswith(
        "3 classes to train on, divide them by their groups first: "
        f"longtail data split '{photos / 'train'}' -o splits.csv --group-by 'regex:([0-9]+).png'"
    )


def test_a_table_of_images(run: Run, photos: Path, tmp_path: Path) -> None:
    rows = [f"{part}/{name}/{name} {n}.png,{name},{part},p{n}" for part in ("train", "test")
            for name in ("fox", "owl") for n in range(2)]  # fmt: skip
    (photos / "images.csv").write_text("\n".join(["path,label,split,patient", *rows]))
    table, splits = tmp_path / "images.csv", tmp_path / "splits.csv"
    (photos / "images.csv").rename(table)
    code, out, _ = run("data", "check", table, "--group-by", "column:patient", "--root", photos)
    assert code == 0
    assert (
        "2 of 2 groups in several splits: p0 (4 images in train, test), p1 (4 images in train, test)" in out
    )
    steps = [line.partition(": longtail ")[2] for line in section(out, "What to do")]
    assert steps[0] == f"data split {table} --root '{photos}' -o splits.csv --again --group-by column:patient"
    assert steps[-1] == f"train {table} --set 'data.root={photos}'"
    assert run(*shlex.split(steps[0].replace("splits.csv", str(splits))))[0] == 0
    checked = run("data", "check", splits, "--strict")
    assert "None of 2 groups lies in several splits." in checked[1]


def test_awkward_names_disturb_nothing(run: Run, tmp_path: Path) -> None:
    names = ["new\nline", "\x1b[31mred", "Łoś", "كلب", "=1+1", "a$_$", "007", "-dash"]
    root = make_photos(tmp_path / "odd names", {"": dict.fromkeys(names, 3)})
    code, out, _ = run("data", "check", root, "-o", tmp_path / "found")
    assert code == 0
    assert "\x1b" not in out
    assert any(line.split() == [r"new\nline", "few", "3"] for line in out.splitlines())
    counts = list(csv.reader(io.StringIO((tmp_path / "found" / "counts.csv").read_text("utf-8"), newline="")))
    assert sorted(row[0] for row in counts[1:]) == sorted(names)


@pytest.mark.parametrize("count", [1, 2, 40, 41, 2000])
def test_long_lists_are_shortened_and_drawn(count: int, tmp_path: Path) -> None:
    audit = Audit({"train": {f"class {n}": count - n for n in range(count)}})
    short, full = (audit_lines(audit, Wording("photos", show_all=show_all)) for show_all in (False, True))
    assert sum(line.startswith("class ") for line in full) == count + 1
    assert len(short) == len(full) - max(0, count - 20) + (count > 20)
    plot_counts(audit, RunFolder(tmp_path))
    with Image.open(tmp_path / "counts.png") as picture:
        seen = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for color, drawn in ((0xC2410C, True), (0x17457F, count > 100)):
        close = np.abs(seen.astype(int) - [color >> 16, color >> 8 & 255, color & 255]).max(axis=1) < 6
        assert bool(close.any()) == drawn


def test_nothing_readable_is_a_result(run: Run, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").write_bytes(b"")
    code, out, _ = run("data", "check", tmp_path / "photos", "-o", tmp_path / "found")
    assert code == 0
    assert "2 images cannot be read" in out
    assert "1. 2 images unreadable" in out
    assert "0 classes to train on, two are needed" in out
    assert "longtail train" not in out
    assert not (tmp_path / "found" / "counts.png").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("nowhere",), "nowhere does not exist"),
        ((".", "-o", "full"), "full is not empty"),
        ((".", "-o", "file"), "file is a file"),
        (("my photos", "-o", "my photos/found"), "lies among the images"),
        (("my photos", "--group-by", "camera"), "give folder:DEPTH"),
        (("my photos", "--group-by", "column:x"), "there is no column 'x'"),
    ],
)
def test_what_is_refused(
    refused: Refused, photos: Path, words: tuple[str, ...], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (photos.parent / "full").mkdir()
    (photos.parent / "full" / "kept").touch()
    (photos.parent / "file").touch()
    assert named in refused("data", "check", *words)
    assert sorted(path.name for path in photos.parent.iterdir()) == ["file", "full", photos.name]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_leaves_nothing_of_the_folder(
    refused: Refused, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    """The first file is written, the second is not."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "check"
    if not is_new:
        out.mkdir()
    monkeypatch.setattr("longtail.report.data_files.RunFolder.write_csv", full)
    assert "No space left on device" in refused("data", "check", photos, "-o", out)
    assert list(tmp_path.rglob("check/*")) == []
    assert out.exists() == (not is_new)


def test_training_writes_its_audit(run: Run, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "train" / "fox" / "fox 0.png", photos / "test" / "fox" / "copy.png")
    words = ("--set", "model.num_experts=2", "--set", "data.image_size=8", "--epochs", "2", "--quiet")
    code, _, err = run("train", photos, *words, "--out", tmp_path / "trained")
    assert (code, err) == (0, "")
    audit = json.loads((tmp_path / "trained" / "audit.json").read_text())
    assert audit["counts"] == {
        "train": {"fox": 6, "lynx": 4, "owl": 2}, "test": {"fox": 3, "lynx": 2, "owl": 2}
    }  # fmt: skip
    assert audit["duplicates"] == [
        {"kind": "exact", "paths": ["train/fox/fox 0.png", "test/fox/copy.png"],
         "splits": ["train", "test"], "classes": ["fox", "fox"],
         "leak": ["train/fox/fox 0.png", "test/fox/copy.png"], "conflict": None}
    ]  # fmt: skip
    assert audit["checked_near"] is False


def test_one_class_alone_and_a_very_long_name(run: Run, tmp_path: Path) -> None:
    name = "x" * 200
    root = make_photos(tmp_path / "photos", {"": {name: 3}})
    code, out, _ = run("data", "check", root)
    assert code == 0
    assert "x" * 39 + "…  few" in out
    assert "Imbalance" not in out
    assert section(out, "What to do") == [
        f"1. 1 class to train on, two are needed, add another: longtail data check {root}"
    ]
    assert f"{name}  few" in run("data", "check", root, "--all")[1]


def test_what_to_do_speaks_of_copies_bursts_and_of_what_a_square_hides(run: Run, tmp_path: Path) -> None:
    photos, rng = tmp_path / "photos", np.random.default_rng(0)
    for name in ("fox", "owl"):
        (photos / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    shutil.copy(photos / "fox/0.png", photos / "fox/again.png")
    steps = section(run("data", "check", photos)[1], "What to do")
    assert "1 set of duplicates within one split" in steps[0]
    assert "--fit squash" in steps[-1].partition(": longtail")[0]
    assert steps[-1].endswith(f": longtail train {photos}")
    audit = replace(check(photos), bursts=3)
    assert "3 bursts" in audit_lines(audit, Wording(str(photos)))[-1]
