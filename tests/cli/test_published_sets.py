"""The recipes of the published sets of photographs, on small files of the same form: train, evaluate, report."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from longtail.recipe import load_recipe
from published_files import COUNTS, HELD, expect_small, write_published

Run = Callable[..., tuple[int, str, str]]
SMALL = (
    "--model", "resnet8", "--set", "data.image_size=8", "--set", "optim.batch_size=8",
    "--set", "model.num_experts=2", "--set", "model.pretrained=false", "--set", "optim.precision=fp32",
)  # fmt: skip
RECIPES = {
    "icl-imagenet-lt": "imagenet_lt",
    "icl-places-lt": "places_lt",
    "icl-inaturalist": "inaturalist2018",
}


@pytest.mark.parametrize("recipe", ["icl-imagenet-lt", "icl-inaturalist"])
def test_one_command_trains_on_a_published_set(
    recipe: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, place, out = RECIPES[recipe], tmp_path / "set", tmp_path / "run"
    rows = write_published(place, name)
    expect_small(monkeypatch, name, rows)
    code, _, err = run(
        "train", recipe, "--data", place, *SMALL, "--epochs", "2", "--quiet", "--strict", "--out", out
    )
    assert code == 0, err
    tested = pd.read_parquet(out / "eval/test/predictions.parquet")
    assert sorted(tested["path"]) == sorted(path for path, _ in rows["test"])
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert bool(log[-1].get("val")) == ("val" in rows)
    code, _, err = run("evaluate", out, "--data", place)
    assert code == 0, err
    again, first = (json.loads((out / f"eval/{part}/metrics.json").read_text()) for part in ("set", "test"))
    assert again["overall"] == first["overall"]


def test_a_set_of_another_size_trains_and_says_both_numbers(run: Run, tmp_path: Path) -> None:
    write_published(tmp_path / "set", "places_lt")
    words = ("train", "icl-places-lt", "--data", tmp_path / "set", *SMALL, "--method", "cross_entropy")
    code, _, err = run(*words, "--epochs", "1", "--out", tmp_path / "run")
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if "not places_lt as published" in line]
    assert "37 training images (published: 62,500)" in line
    assert f"{HELD * len(COUNTS)} test images (published: 36,500)" in line
    code, _, err = run("report", tmp_path / "run")
    assert code == 0, err
    page = (tmp_path / "run" / "report.html").read_text()
    assert "37 training images (published: 62,500)" in page
    code, _, err = run(*words, "--epochs", "1", "--out", tmp_path / "other", "--strict")
    assert code == 2
    assert "37 training images (published: 62,500)" in err


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("network", ["resnet50", "resnext50_32x4d"])
def test_the_recipes_are_of_photographs_and_of_either_network(recipe: str, network: str) -> None:
    chosen, notes = load_recipe(recipe, {"model.name": network})
    assert (chosen.data.image_size, chosen.model.num_experts, notes) == (224, 3, [])
    assert chosen.model.layout().shared(chosen.model.shared_stages) == 3
