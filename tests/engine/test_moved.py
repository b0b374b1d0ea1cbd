"""A run that was stopped goes on where the same images lie elsewhere, and with no others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_runs import state_of, stop_at, tiny

from longtail.engine.train import fit
from longtail.recipe import Recipe, load_recipe
from longtail.recipe.plan import plan
from longtail.types import InputError

CLASSES, IMAGES = 3, 12


def recipe_for(photos: Path) -> Recipe:
    return tiny(
        data__name="folder", data__path=str(photos), data__image_size=8, data__validation=0.25,
        data__max_count=None, data__imbalance_factor=None, optim__batch_size=9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stopped(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """`photos`, a run on them that is finished, and one that was stopped in its second epoch."""

    def make(place: Path) -> None:
        rng = np.random.default_rng(0)
        for number in range(CLASSES * IMAGES):
            file = place / "photos" / "abc"[number % CLASSES] / f"{number}.bmp"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
        recipe = recipe_for(place / "photos")
        fit(recipe, str(place / "whole"), quiet=True)
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, 4, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                fit(recipe, str(place / "run"), quiet=True)

    return once("moved images", make)


@pytest.fixture
def moved(stopped: Path, tmp_path: Path) -> Path:
    """The images elsewhere, and the run that was stopped."""
    for name in ("photos", "run"):
        shutil.copytree(stopped / name, tmp_path / name)
    return tmp_path


def test_it_is_resumed_with_the_same_images_and_writes_down_where_they_lie(
    stopped: Path, moved: Path
) -> None:
    run, recipe = moved / "run", recipe_for(moved / "photos")
    assert len(state_of(run)["records"]) == 1
    fit(recipe, str(run), resume=True, quiet=True)
    weights = "weights/last.safetensors"
    assert (run / weights).read_bytes() == (stopped / "whole" / weights).read_bytes()
    assert load_recipe(str(run / "recipe.toml"))[0] == recipe
    moves = json.loads((run / "env.json").read_text("utf-8"))["moved"]
    assert moves == [{"epochs": 1, "from": str(stopped / "photos"), "to": str(moved / "photos")}]
    assert fit(recipe, str(run), resume=True, quiet=True).status()["status"] == "done"


def other_content(photos: Path, trained: str) -> str:
    """A file of the same size, so that its bytes alone tell."""
    with (photos / trained).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    return f"{trained}: has another content"


def removed(photos: Path, trained: str) -> str:
    (photos / trained).unlink()
    return f"{trained}: is not there any more"


def added(photos: Path, trained: str) -> str:
    for number in range(4):
        shutil.copy(photos / trained, photos / "a" / f"z{number}.bmp")
    return "was not there"


@pytest.mark.parametrize("change", [other_content, removed, added])
def test_other_images_are_refused_by_name(moved: Path, change: Callable[[Path, str], str]) -> None:
    run = moved / "run"
    rows = [line.split(",") for line in (run / "splits.csv").read_text("utf-8").splitlines()]
    trained = next(row[0] for row in rows if row[2] == "train")
    said = change(moved / "photos", trained)
    with pytest.raises(InputError, match="training images are not those") as refused:
        fit(recipe_for(moved / "photos"), str(run), resume=True, quiet=True)
    assert any(said in line for line in refused.value.details)


def test_images_that_are_gone_are_said_to_be_gone_with_the_remedy(stopped: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped / "run", tmp_path / "run"))
    with pytest.raises(InputError, match=r"are not in .*gone any more; .*run --resume --data PATH"):
        fit(recipe_for(tmp_path / "gone"), str(run), resume=True, quiet=True)


def test_the_new_place_becomes_absolute(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(moved)
    recipe = plan("run", {"data.path": "photos"}, None, resume=True).recipe
    assert recipe.data.path == str(moved / "photos")
