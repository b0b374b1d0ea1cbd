"""What a network sees of images that are not square is compared on features of training images alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.data import load_data
from longtail.data.source_kinds import read_source
from longtail.engine.display import Display
from longtail.recipe import Recipe, load_recipe
from longtail.search import picture_fits
from longtail.search.picture_fits import choose_fit

QUIET = Display(1, quiet=True)


def photographs(root: Path, height: int, width: int, images: int = 40) -> Path:
    """Two classes that differ at the left and right end alone."""
    draw = np.random.default_rng(0)
    for name, ends in (("dark", 40), ("light", 210)):
        (root / name).mkdir(parents=True)
        for number in range(images):
            pixels = draw.integers(0, 255, (height, width, 3), dtype=np.uint8)
            pixels[:, : width // 5] = pixels[:, -(width // 5) :] = ends
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def recipe_of(root: Path, fit: str = "crop") -> Recipe:
    given = {
        "model.name": "resnet8", "model.num_experts": 1, "model.head": "linear", "model.frozen": True,
        "method.name": "balanced_softmax", "run.device": "cpu", "run.reuse_features": 0, "data.name": "folder",
        "data.path": str(root), "data.image_size": 32, "data.fit": fit, "data.validation": 0.25,
        "data.group_copies": False, "data.imbalance_factor": 1.0,
    }  # fmt: skip
    return load_recipe("icl-digits", given)[0]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_fits, "LEAST", 40)


def test_the_whole_picture_is_taken_where_a_crop_hides_what_tells_classes_apart(tmp_path: Path) -> None:
    recipe = recipe_of(photographs(tmp_path / "photos", 16, 48))
    data = load_data(recipe.data)
    fetched: set[str] = set()

    def read(options: object):  # type: ignore[no-untyped-def]
        source = read_source(options)
        fetch, ids = source.train.fetch, source.train.ids

        def noted(rows):  # type: ignore[no-untyped-def]
            fetched.update(ids[row] for row in rows.tolist())
            return fetch(rows)

        object.__setattr__(source.train, "fetch", noted)
        return source

    fit, (said,) = choose_fit(recipe, data, read, 1e-3, 100.0, QUIET)
    assert fit in ("squash", "pad")
    assert "better" in said
    assert fetched == set(data.train.ids)  # and none of those that were held out
    chosen, (said,) = choose_fit(recipe_of(tmp_path / "photos", "squash"), data, read, 1e-3, 100.0, QUIET)
    assert chosen == "squash"


def test_nothing_is_compared_of_square_images_or_without_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(picture_fits, "FrozenTrials", pytest.fail)
    square = recipe_of(photographs(tmp_path / "square", 16, 17, 8))
    assert choose_fit(square, load_data(square.data), read_source, 1e-3, 100.0, QUIET) == ("crop", [])
    wide = recipe_of(photographs(tmp_path / "wide", 16, 48, 40))
    fit, (said,) = choose_fit(wide, load_data(wide.data), read_source, 1.0, 60.0, QUIET)
    assert fit == "crop"
    assert "not compared" in said
