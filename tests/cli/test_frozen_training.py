"""`longtail train FOLDER --frozen`, what follows it, and `longtail cache`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from longtail.features import cache_folder, entries, place, trim
from longtail.features.store import FeatureStore
from longtail.models.backbone import build_backbone
from longtail.recipe import load_recipe
from longtail.recipe.plan.command import prepare
from longtail.recipe.suggest.features import suggest_features
from longtail.types import InputError

SMALL = ("--model", "test_efficientnet", "--set", "data.image_size=32", "--epochs", 3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache/features"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(build_backbone("test_efficientnet").state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def test_a_folder_is_trained_on_its_features_and_the_run_is_like_any_other(
    run: Callable[..., Any], photos: Path, weights: Path, tmp_path: Path
) -> None:
    words = ("train", photos, "--frozen", "--weights", weights, *SMALL)
    first = run(*words, "--out", "first")
    assert first.code == 0, first.err
    assert "features: " in first.err
    assert "chosen: " in first.err
    again = run(*words, "--out", "again", "--method", "cross_entropy", "--set", "model.hidden_units=8")
    assert again.code == 0
    assert "none to compute" in again.err
    assert run("predict", "again", photos, "-o", "labels.csv").code == 0
    assert run("report", "again").code == 0
    shown = run("cache")
    assert str(cache_folder()) in shown.out
    assert "test_efficientnet at 32, view 4" in shown.out
    assert run("cache", "--clear").code == 0
    assert not entries()


def test_weights_that_were_never_trained_are_not_frozen(refused: Callable[..., str], photos: Path) -> None:
    said = refused("train", photos, "--frozen", *SMALL, "--set", "model.pretrained=false")
    assert "trained weights" in said
    assert "--weights" in said


def test_settings_that_are_asked_for_stay(photos: Path, weights: Path) -> None:
    given: dict[str, Any] = {
        "model.frozen": True, "model.name": "test_efficientnet", "model.weights": str(weights),
        "data.image_size": 48,
    }  # fmt: skip
    recipe = prepare(str(photos), given, 7, "out", resume=False).recipe
    assert (recipe.data.image_size, recipe.optim.epochs, recipe.model.frozen) == (48, 7, True)
    assert not recipe.model.pretrained


def test_wide_images_are_seen_whole_and_that_is_said(tmp_path: Path) -> None:
    for number in range(8):
        place = tmp_path / "photos" / ("fox", "owl")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (160, 90), (number, 0, 0)).save(place / f"{number}.png")
    for fit in ("squash", "crop", "pad"):
        given: dict[str, Any] = {"model.frozen": True} | ({} if fit == "squash" else {"data.fit": fit})
        recipe, _ = load_recipe(str(tmp_path / "photos"), given, base="features")
        found = suggest_features(recipe, given, None)
        assert ("data.fit" in found.settings) == (fit == "squash")
        assert any("44%" in why for why in found.reasons) == (fit == "squash")


def test_a_slow_machine_gets_smaller_images(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"model.frozen": True, "run.threads": 1}
    recipe, _ = load_recipe(str(photos), given, base="features")
    sizes = []
    for seconds in (900.0, 0.01):
        monkeypatch.setattr("longtail.recipe.suggest.features.SECONDS", seconds)
        sizes.append(suggest_features(recipe, given, None).settings["data.image_size"])
    assert sizes == [128, 96]


@pytest.mark.parametrize(("side", "size"), [(8, 128), (20, 160), (32, 224), (1000, 224)])
def test_small_images_are_enlarged_no_further_than_pays(tmp_path: Path, side: int, size: int) -> None:
    for name in ("fox", "owl"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (side, side + 1), (number, 0, 0)).save(
                tmp_path / "photos" / name / f"{number}.png"
            )
    given: dict[str, Any] = {"model.frozen": True, "run.threads": 1}
    recipe, _ = load_recipe(str(tmp_path / "photos"), given, base="features")
    assert suggest_features(recipe, given, None).settings["data.image_size"] == size


def test_what_was_not_used_for_longest_goes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        folder = cache / str(number)
        folder.mkdir(parents=True)
        (folder / "rows.bin").write_bytes(bytes(1000))
        place.touch(folder)
        os.utime(folder / place.USED, (number, number))
    monkeypatch.setenv("LONGTAIL_CACHE_GB", "2.5e-6")
    assert [entry.folder.name for entry in trim(keep=[cache / "0"])] == ["1"]
    monkeypatch.setenv("LONGTAIL_CACHE_GB", "much")
    with pytest.raises(InputError, match="LONGTAIL_CACHE_GB"):
        trim()


def test_features_that_a_run_adds_to_stay(run: Callable[..., Any], cache: Path) -> None:
    one, other = (FeatureStore(cache, {"number": number}, 2) for number in range(2))
    with one.growing(lambda: None):
        assert [entry.folder for entry in place.remove_all()] == [other.folder]
        one.add(np.array([7], np.uint64), torch.ones(1, 2))
        assert "adds to it now: 1" in run("cache", "--clear").out
    assert one.places(np.array([7], np.uint64)).tolist() == [0]
    assert [entry.folder for entry in place.remove_all()] == [one.folder]
    assert not one.folder.exists()
