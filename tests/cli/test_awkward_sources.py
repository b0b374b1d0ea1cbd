"""Training from end to end on sets as people have them."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from longtail.data.rows import ordered

Run = Callable[..., tuple[int, str, str]]
SETTINGS = (
    "model.num_experts=1", "model.name=resnet8", "data.image_size=8", "data.augment=[]", "optim.warmup_epochs=0",
    "optim.batch_size=32",
)  # fmt: skip
SHORT = (
    "--method",
    "cross_entropy",
    *(word for setting in SETTINGS for word in ("--set", setting)),
    "--quiet",
)
ODD = ["007", "NA", "füchse ❄", "a b", 'q"uote', "new\nline", "it's"]


def paint(file: Path, value: int | list[int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)).save(file, "PNG")


def test_three_hundred_classes_with_awkward_names_that_cannot_be_written_to(run: Run, tmp_path: Path) -> None:
    photos, names = tmp_path / "photos", [*ODD, *map(str, range(293))]
    for number, name in enumerate(names):
        for image in range(1 if number % 3 else 4):
            paint(photos / name / "deep er" / f"é {image}\n.PnG", [number % 256, number // 256, image])
    table, before = tmp_path / "splits.csv", sorted(photos.rglob("*"))
    for folder, _, _ in os.walk(photos):
        Path(folder).chmod(0o555)
    try:
        code, out, _ = run("data", "split", photos, "-o", table)
        assert code == 0
        assert "without a test image: " in out
        assert "260 more classes" in out
        assert run("train", table, *SHORT, "--epochs", "1", "--out", tmp_path / "run")[0] == 0
    finally:
        for folder, _, _ in os.walk(photos):
            Path(folder).chmod(0o755)
    assert sorted(photos.rglob("*")) == before
    classes = json.loads((tmp_path / "run/classes.json").read_text())
    assert [row["name"] for row in classes] == [*ordered(names)]
    assert {row["name"]: row["count"] for row in classes} == {
        n: 1 if i % 3 else 3 for i, n in enumerate(names)
    }
    metrics = json.loads((tmp_path / "run/eval/test/metrics.json").read_text())
    assert metrics["num_images"] == 100


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_test_part_in_another_order_never_shifts_classes(run: Run, tmp_path: Path, encoding: str) -> None:
    """Three shades are easy to distinguish: a shift of classes would show as a recall of 0."""
    shade = {"NA": 0, "007": 120, "füchse\n❄": 250}
    lines = [["Filename", "class", "split"]]
    for name, value in shade.items():
        for image in range(24):
            paint(tmp_path / "images" / f"{value} {image}.png", value)
            lines.append([f"images/{value} {image}.png", name, "train" if image < 20 else "test"])
    paint(tmp_path / "images" / "new.png", 60)
    lines = [lines[0], ["images/new.png", "000 new", "test"], *reversed(lines[1:])]
    table = tmp_path / "photos.csv"
    with table.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=";").writerows(lines)
    code, _, err = run("train", table, *SHORT, "--epochs", "12", "--out", tmp_path / "run")
    assert code == 0, err
    scores = pd.read_csv(
        tmp_path / "run/eval/test/per_class.csv", dtype={"class": str}, keep_default_na=False
    )
    assert dict(zip(scores["class"], scores["recall"].astype(float), strict=True)) == dict.fromkeys(
        shade, 1.0
    )
    assert json.loads((tmp_path / "run/eval/test/metrics.json").read_text())["unknown_classes"] == {
        "000 new": 1
    }
    other = tmp_path / "others.csv"
    other.write_text(
        "path,label\nimages/250 1.png,NA\nimages/0 2.png,zebra\nimages/120 3.png,007\nimages/0 4.png,NA\n"
    )
    assert run("evaluate", tmp_path / "run", "--data", other)[0] == 0
    scores = pd.read_csv(tmp_path / "run/eval/others/per_class.csv", dtype=str, keep_default_na=False)
    assert dict(zip(scores["class"], scores["correct"], strict=True)) == {
        "007": "1",
        "NA": "1",
        "füchse\n❄": "0",
    }


def test_what_the_command_line_says_of_tables(run: Run, refused: Callable[..., str], tmp_path: Path) -> None:
    for value in range(6):
        paint(tmp_path / f"{value}.png", value)
    table = tmp_path / "photos.csv"
    table.write_text("file,label\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n4.png,a\ngone.png,b\n")
    code, out, err = run("train", table, *SHORT[:-1], "--epochs", "1", "--out", tmp_path / "run")
    assert code == 0, err
    assert "photos.csv: path from 'file'" in out + err
    assert "1 image unreadable and left out: gone.png" in out + err
    assert "has no test split: 20% of each class is held out" in out + err
    assert "is not clean" in refused(
        "train", table, *SHORT, "--strict", "--out", tmp_path / "other", details=True
    )
    assert "both name the images" in refused("train", table, "--data", tmp_path)
    words = ("train", "icl-images", "--data", table, *SHORT, "--epochs", "1", "--out", tmp_path / "again")
    assert run(*words, "--set", "data.root=" + str(tmp_path))[0] == 0
    recipe = (tmp_path / "again/recipe.toml").read_text()
    assert 'name = "table"' in recipe
    assert f'root = "{tmp_path}"' in recipe
    table.write_text("file,label\nx/0.png,a\nx/1.png,b\n")
    assert "none of 2 train images" in refused("train", table, *SHORT, "--out", tmp_path / "other")
    (tmp_path / "notes.md").write_text("hello")
    assert "neither a table of images nor a recipe" in refused("train", tmp_path / "notes.md")
    assert not (tmp_path / "other").exists()


def test_sources_are_listed(run: Run) -> None:
    listed = {line.split()[0] for line in run("datasets")[1].splitlines()}
    assert {"table", "list", "inaturalist", "folder", "parquet", "packed"} <= listed
