"""One folder with all that goes wrong at once: what is used, what is left out and why, the same numbers everywhere."""

import io
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SMALL = ("--model", "resnet8", "--method", "cross_entropy", "--epochs", "1")
FEW = ("--set", "model.num_experts=1", "--set", "data.image_size=16")
ESCAPE, RETURN, FORMULA = "\x1b[31mred.png", "two\nlines.png", "=1+1.png"


def encoded(number: int, kind: str = "PNG", **options: object) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, kind, **options)
        return file.getvalue()


def sixteen_bits() -> bytes:
    pixels = np.random.default_rng(99).integers(0, 4096, (40, 40), dtype=np.uint16)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


IMAGES = {  # used; two of them with damage that does not matter, two with the same bytes
    **{f"ant/{number}.png": encoded(number) for number in range(8)},
    **{f"bee/deep/{number}.jpg": encoded(20 + number, "JPEG") for number in range(6)},
    f"ant/{ESCAPE}": encoded(30), f"ant/{RETURN}": encoded(31), f"bee/{FORMULA}": encoded(32),
    "bee/web.jfif": encoded(33, "JPEG"), "bee/UPPER.JPE": encoded(34, "JPEG"), "=cow/16.png": sixteen_bits(),
    "=cow/exif.jpg": encoded(35, "JPEG", exif=b"Exif\0\0II*\0" + struct.pack("<I", 99999)),
    "=cow/no end.jpg": encoded(36, "JPEG")[:-2],
    "=cow/copy.png": encoded(0),
}  # fmt: skip
UNREADABLE = {
    "ant/empty.png": b"", "bee/cut.jpg": encoded(40, "JPEG")[:400], "bee/text.png": b"not an image",
}  # fmt: skip
PROBLEMS = {"bee/phone.cr2": b"raw", "=cow/drawing.svg": b"<svg/>", "ant/no ending": encoded(41)}
BESIDE = {"beside.png": encoded(42), "beside too.jpg": encoded(43, "JPEG")}
HARMLESS = {
    "Thumbs.db": b"x", "ant/@eaDir/0.png/thumb.jpg": encoded(44), "bee/.hidden.png": encoded(45),
    ".git/deep/config": b"x", "README.txt": b"x", "ant/0.xml": b"x", "ant/1.xml": b"x", "nothing/notes.txt": b"x",
    "runs/one/recipe.toml": b"", "runs/one/status.json": b"{}", "runs/one/plots/classes.png": encoded(46),
    "bee/check/audit.json": b"{}", "bee/check/counts.csv": b"", "bee/check/counts.png": encoded(47),
}  # fmt: skip
LINKS = {"bee/gone.png": "nowhere.png", "ant/up": "../..", "ant/other": "../bee"}


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    root = tmp_path / "everything"
    for name, content in (IMAGES | UNREADABLE | PROBLEMS | BESIDE | HARMLESS).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    return root


@pytest.fixture
def seen(everything: Path) -> int:
    """Everything that lies there and is no folder, counted another way."""
    return sum(path.is_symlink() or not path.is_dir() for path in everything.rglob("*"))


def check_counts(audit: dict, seen: int) -> None:
    files = audit["files"]
    reasons = {one["reason"]: one["count"] for one in audit["left_out"]}
    assert files == {
        "seen": seen, "used": len(IMAGES), "unreadable": len(UNREADABLE), "unknown_classes": 0, "not_drawn": 0,
        "left_out": sum(reasons.values()),
    }  # fmt: skip
    assert seen == files["used"] + files["unreadable"] + files["left_out"]
    assert files["used"] == sum(sum(counts.values()) for counts in audit["counts"].values())
    assert files["left_out"] == len(PROBLEMS) + len(BESIDE) + len(HARMLESS) + len(LINKS)
    problems = [one for one in audit["left_out"] if one["is_problem"]]
    assert sum(one["count"] for one in problems) == len(PROBLEMS) + len(BESIDE) + len(LINKS)
    assert {one["path"] for one in audit["unreadable"]} == set(UNREADABLE)
    assert {one["path"] for one in audit["repaired"]} == {"=cow/exif.jpg", "=cow/no end.jpg"}


def check_said(said: str, audit: dict) -> None:
    """Every reason with its count, and every unreadable and repaired image, stand in it; names are escaped."""
    files = audit["files"]
    line = (
        f"{files['used']} of {files['seen']} files are used; 3 cannot be read, {files['left_out']} left out"
    )
    assert said.count(line) == 1
    for one in audit["left_out"]:
        noun = "file" if one["count"] == 1 else "files"
        assert f"  {one['count']} {noun}, {one['reason']}" in said
        assert one["examples"][0] in said
    for one in (*audit["unreadable"], *audit["repaired"]):
        assert one["path"] in said
    assert "\x1b[31m" not in said


def test_check_train_report_and_predict_say_the_same(
    everything: Path, seen: int, run: Callable[..., object], tmp_path: Path
) -> None:
    code, said, _ = run("data", "check", everything, "-o", tmp_path / "checked", "--strict")
    checked = json.loads((tmp_path / "checked" / "audit.json").read_text("utf-8"))
    assert code == 1
    check_counts(checked, seen)
    check_said(said, checked)

    code, _, said = run("train", everything, *SMALL, *FEW, "--out", tmp_path / "run")
    trained = json.loads((tmp_path / "run" / "audit.json").read_text("utf-8"))
    assert code == 0
    check_counts(trained, seen)
    check_said(said, trained)
    assert trained["left_out"] == checked["left_out"]

    assert run("report", tmp_path / "run").code == 0
    page = re.sub(r"&#\d+;|&\w+;", "'", (tmp_path / "run" / "report.html").read_text("utf-8"))
    assert f"{len(IMAGES)} of {seen} files are used; 3 cannot be read" in page
    assert all(f"{one['count']} file" in page for one in trained["left_out"])
    assert " files left out" not in page  # said once, of all of them

    code, _, said = run("predict", tmp_path / "run", everything, "-o", tmp_path / "p.csv")
    found = re.search(r"(\d+) of (\d+) files are used; (\d+) cannot be read, (\d+) left out", said)
    assert found is not None
    used, total, unreadable, left_out = map(int, found.groups())
    assert (code, total, used + unreadable + left_out) == (1, seen, seen)
    assert (used, unreadable) == (len(IMAGES) + len(BESIDE), len(UNREADABLE))
    counts = [int(number) for number in re.findall(r"^  (\d+) files?, ", said, re.MULTILINE)]
    assert sum(counts) == left_out == len(PROBLEMS) + len(HARMLESS) + len(LINKS)
    assert "\x1b[31m" not in said


def test_strict_refuses_it_and_writes_nothing(
    everything: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert "is not clean" in refused("train", everything, *SMALL, "--strict", "--out", out, details=True)
    assert not out.exists()
