"""What a centred square hides of images, and what is suggested for their shapes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.data import DataOptions, load_data
from longtail.data.audit import audit_loaded, check
from longtail.data.shapes import shapes_of, suggest_fit
from longtail.recipe import load_recipe
from longtail.recipe.suggest import suggest_settings
from longtail.runs.schema import AuditRecord

DRAW = np.random.default_rng(0)
SETS = {
    "crop": [(100, 100), (100, 104), (95, 100)] * 7,
    "squash": [(36, 64)] * 20 + [(40, 64)],
}
SETS["crop with one panorama"] = [*SETS["crop"], (10, 90)]
SETS["squash many shapes"] = [(20, 100), (100, 30), (60, 60), (50, 100)] * 5
SETS["squash upright and lying photographs"] = [(75, 100), (100, 75)] * 9


@pytest.mark.parametrize("name", SETS)
def test_the_shapes_decide(name: str) -> None:
    shapes = shapes_of(np.array(SETS[name]), [str(n) for n in range(len(SETS[name]))])
    assert shapes is not None
    assert suggest_fit(shapes)[0] == name.split(maxsplit=1)[0]


def test_what_is_hidden_is_the_part_beside_the_square() -> None:
    shapes = shapes_of(np.array([[36, 64], [64, 36], [50, 50]]), ("a", "b", "c"))
    assert shapes is not None
    assert (shapes.images, shapes.hidden, shapes.most_hidden, shapes.example) == (
        3,
        1 - 36 / 64,
        1 - 36 / 64,
        "a",
    )
    assert (shapes.narrow, shapes.wide) == (36 / 64, 64 / 36)
    square = shapes_of(np.array([[8, 8]] * 4), tuple("abcd"))
    assert square is not None
    assert square.lines() == ()
    assert shapes_of(np.zeros((0, 2), np.int64), ()) is None


def write(root: Path, sizes: list[tuple[int, int]], exif: Image.Exif | None = None) -> Path:
    for name in ("blue", "red"):
        (root / "train" / name).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            pixels = DRAW.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "train" / name / f"{number}.jpg", exif=exif or Image.Exif())
    return root


def test_the_check_the_run_and_the_suggestion_measure_the_same(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter to the right
    root = write(
        tmp_path, [(400, 200), (401, 200), (300, 200)], turned
    )  # the first is decoded smaller, to look at
    audit = check(root)
    assert audit.shapes is not None
    assert audit.shapes.wide == 401 / 200
    assert audit.shapes.example == "train/blue/1.jpg"
    for augment in ((), ("resized_crop",)):  # in memory, and on disk
        data = load_data(DataOptions(name="folder", path=str(root), image_size=16, augment=augment))
        loaded = audit_loaded(data, "squash")
        assert loaded.shapes == audit.shapes
    assert AuditRecord.model_validate(json.loads(json.dumps(audit.contents()))).shapes is not None
    recipe, _ = load_recipe(str(root), {})
    suggestion = suggest_settings(recipe, {}, None)
    assert suggestion.settings["data.fit"] == "squash" == audit.contents()["shapes"]["suggested"]
    assert any("train/blue/1.jpg" in reason for reason in suggestion.reasons)
    assert "data.fit" not in suggest_settings(recipe, {"data.fit": "crop"}, None).settings


@pytest.mark.parametrize(("fit", "warned"), [("crop", True), ("squash", False)])
def test_a_run_says_what_it_hides(tmp_path: Path, fit: str, warned: bool) -> None:
    options = DataOptions(name="folder", path=str(write(tmp_path, SETS["squash"][:4])), image_size=16)
    (line,) = (line for line in audit_loaded(load_data(options), fit).remarks if "44%" in line)  # type: ignore[arg-type]
    assert ("--fit squash" in line) == warned
