"""`longtail explain` on a run that is trained once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def digits_run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "digits run"))


def test_chosen_images_for_the_report(digits_run: Path, run: Callable[..., object]) -> None:
    folder = digits_run / "explain"
    folder.mkdir()
    (folder / "99.webp").write_bytes(b"from an earlier time")
    killed = digits_run / ".explain.01234567.partial"
    killed.mkdir()
    (killed / "98.webp").write_bytes(b"from a process that was killed")
    answer = run("explain", digits_run)
    assert "ties by path" in str(answer)
    assert str(answer).count("since the last has 2 x 2 places, 8 x 8 places") == 1
    assert "show little" not in str(answer)
    record = json.loads((folder / "explain.json").read_text("utf-8"))
    assert "two most confident mistakes" in record["rule"]
    assert 1 <= len(record["images"]) <= 6
    evaluated = pd.read_parquet(digits_run / "eval/test/predictions.parquet").set_index("path")
    for entry in record["images"]:
        row = evaluated.loc[entry["path"]]
        assert (entry["class"], entry["label"]) == (row["class"], row["label"])
        assert entry["confidence"] == pytest.approx(row["confidence"], abs=1e-4)
        assert entry["experts"] == [row["expert_1"], row["expert_2"]]
        assert len(entry["maps"]) == 2
        for name in (entry["image"], *entry["maps"]):
            with Image.open(folder / name) as picture:
                assert max(picture.size) <= 160
    assert not (folder / "98.webp").exists()
    assert not (folder / "99.webp").exists()
    assert not list(digits_run.glob(".explain*"))
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.format == "PNG"


def test_a_sheet_of_files(
    finished: Path, photos: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    (photos / "test/fox/broken.png").write_bytes(b"no image")
    out = tmp_path / "sheet.png"
    code, _, err = run("explain", finished, photos / "test", "-o", out, "--limit", 3, "--class", "7")
    assert code == 1, err
    assert "the first of 7, more with --limit" in err
    assert "broken.png (not an image)" in err
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
    assert not (finished / "explain").exists()


def test_what_is_refused_in_one_line(
    finished: Path, photos: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    assert "-o sheet.png" in refused("explain", finished, photos)
    assert "--limit is for the images of SOURCE" in refused("explain", finished, "--limit", 3)
    assert "ends in .png" in refused("explain", finished, photos, "-o", tmp_path / "sheet.gif")
    assert "--overwrite" in refused("explain", finished, photos, "-o", taken)
    among = photos / "train" / "sheet.png"
    assert "lies among the images" in refused("explain", finished, photos, "-o", among)
    assert not among.exists()
    out = tmp_path / "sheet.png"
    assert "no class 'fox'" in refused("explain", finished, photos, "-o", out, "--class", "fox")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    assert "broken.png (empty)" in refused("explain", finished, broken, "-o", out)
    assert taken.read_bytes() == b"mine"
    assert not out.exists()


def test_a_sheet_among_the_images_of_the_run_is_refused(
    digits_run: Path, photos: Path, refused: Callable[..., str]
) -> None:
    recipe = digits_run / "recipe.toml"
    recipe.write_text(
        recipe.read_text("utf-8").replace("[data]\n", f"[data]\npath = {str(photos)!r}\n"), "utf-8"
    )
    among = photos / "train" / "sheet.png"
    assert "lies among the images" in refused("explain", digits_run, "-o", among)
    assert not among.exists()


def test_a_run_without_its_evaluation_is_refused(digits_run: Path, refused: Callable[..., str]) -> None:
    table = digits_run / "eval/test/predictions.parquet"
    other = pd.read_parquet(table).iloc[::-1]
    other.to_parquet(table)
    assert "of other images" in refused("explain", digits_run)
    table.write_bytes(b"")
    assert "is damaged" in refused("explain", digits_run)
    table.unlink()
    assert f"longtail evaluate '{digits_run}'" in refused("explain", digits_run)
    assert not (digits_run / "explain").exists()
