"""`longtail data`, and training on what it makes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longtail.recipe import load_recipe

Run = Callable[..., tuple[int, str, str]]
SETTINGS = (
    "model.num_experts=2", "model.name=resnet8", "data.image_size=8", 'data.augment=["resized_crop", "flip"]'
)  # fmt: skip
SHORT = ("--epochs", "2", *(word for setting in SETTINGS for word in ("--set", setting)))


def test_packing_and_training_on_it(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "fox" / "bad.png").write_bytes(b"")
    packed = tmp_path / "my set"
    code, out, err = run("data", "pack", photos, "-o", packed)
    assert (code, out) == (
        0,
        f"{packed}: 12 train, 6 test images; train on them with: longtail train '{packed}'\n",
    )
    assert err == "1 of 19 images could not be read and were left out:\n  train/fox/bad.png (empty)\n"
    logs = {}
    for name, words in {
        "files": ("icl-images", "--data", photos),
        "packed": ("icl-images", "--data", packed),
    }.items():
        folder = tmp_path / f"run on {name}"
        assert run("train", *words, *SHORT, "--out", folder, "--quiet")[0] == 0
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        logs[name] = [{k: v for k, v in line.items() if "seconds" not in k} for line in lines]
    assert logs["files"] == logs["packed"]
    assert 'name = "packed"' in (tmp_path / "run on packed" / "recipe.toml").read_text()
    assert load_recipe(str(packed))[0].data.name == "packed"
    assert run("evaluate", tmp_path / "run on files", "--data", packed)[0] == 0
    scores = [
        json.loads((tmp_path / "run on files/eval" / n / "metrics.json").read_text())
        for n in ("test", "my set")
    ]
    assert scores[0]["nll"] == scores[1]["nll"]


@pytest.mark.parametrize(
    ("words", "named"),
    [(("-o", "."), "exists"), ((), "--out"), (("-o", "new", "--short-side", "0"), "short-side")],
)
def test_what_pack_refuses(
    refused: Callable[..., str], photos: Path, words: tuple[str, ...], named: str
) -> None:
    assert named in refused("data", "pack", photos, *words)


def test_pack_says_what_it_leaves_out(
    run: Callable[..., Any], refused: Callable[..., str], photos: Path, tmp_path: Path
) -> None:
    (photos / "train" / "fox" / "raw.cr2").touch()
    assert "raw.cr2" in run("data", "pack", photos, "-o", tmp_path / "all").err
    files = sorted(path.relative_to(photos).as_posix() for path in (photos / "train").rglob("*.*g"))
    rows = [f"{name},{name.split('/')[1]}" for name in files]
    table = photos / "t.csv"
    table.write_text("\n".join(["path,label", *rows, f"{files[0]},other"]))
    words = ("data", "pack", table, "-o", tmp_path / "packed")
    assert "data pack: --two-labels leave_out" in refused(*words)
    answer = run(*words, "--two-labels", "leave_out")
    assert (answer.code, "1 image left out, with two labels or more" in answer.err) == (0, True)
    assert f"{len(files) - 1:,} train images" in answer.out


def test_pack_is_strict_where_asked(refused: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "fox" / "bad.png").write_bytes(b"")
    message = refused("data", "pack", photos, "-o", tmp_path / "packed", "--strict", details=True)
    assert "not clean" in message
    assert "--strict" in message
    assert not (tmp_path / "packed").exists()
