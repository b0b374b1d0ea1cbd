"""A run of images that are not square sees the same of them wherever it meets them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import longtail
from longtail.explain import explain_files
from longtail.export import export
from longtail.predict import load_run
from longtail.predict.weights import read_weights, write_description
from longtail.types import InputError

SIZE = 16


def write_frames(root: Path) -> list[Path]:
    draw = np.random.default_rng(0)
    for part, count in (("train", 10), ("test", 4)):
        for name, color in (("blue", (40, 40, 230)), ("red", (230, 40, 40))):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(60, 110, (36, 64, 3)).astype(np.uint8)
                pixels[10:20, :9] = color
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return sorted(root.glob("test/*/*.png"))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("frames")
    write_frames(root)
    return root


@pytest.fixture(scope="module", params=["pad", "squash"])
def fit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(frames: Path, fit: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / fit
    given = {
        "data.fit": fit, "data.image_size": SIZE, "data.mean": [0.4, 0.3, 0.2], "model.name": "resnet8",
        "optim.batch_size": 8,
    }  # fmt: skip
    longtail.train(frames, method="cross_entropy", epochs=1, out=out, set=given, quiet=True)
    return out


def by_hand(file: Path, fit: str) -> np.ndarray:
    image = Image.open(file)
    if fit == "squash":
        return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return np.asarray(ImageOps.pad(image, (SIZE, SIZE), Image.Resampling.BILINEAR, color=(102, 76, 51)))


def test_evaluation_prediction_explanation_and_exports_see_the_same(
    trained: Path, frames: Path, fit: str, tmp_path: Path
) -> None:
    files = sorted(frames.glob("test/*/*.png"))
    model = load_run(trained)
    squares = [by_hand(file, fit) for file in files]
    said = model.predict_proba(files)
    np.testing.assert_array_equal(said, model.predict_proba(squares))
    centres = [np.asarray(Image.open(file).crop((14, 0, 50, 36)).resize((SIZE, SIZE), 2)) for file in files]
    assert np.abs(said - model.predict_proba(centres)).max() > 1e-4
    evaluated = longtail.evaluate(trained)
    truth = [int(file.parent.name == "red") for file in files]
    assert evaluated["overall"] == np.mean(said.argmax(1) == truth)
    shown = next(e.picture for e in explain_files(model, files[:1], [], []))
    blue = shown[2].int() - shown[0].int()
    assert blue[:, :30].max() > 90  # the end that tells the classes apart is in the picture
    for form in ("folder", "pt2"):
        place = export(trained, form, tmp_path / f"model.{form}").path
        made = longtail.load(place)
        assert made.description["fit"] == fit
        facts = json.loads((place / "config.json").read_text()) if form == "folder" else made.description
        assert ("ImageOps.pad" in facts["resize"]) == (fit == "pad")
        np.testing.assert_allclose(made.predict_proba(files), said, atol=1e-5)


def test_weights_that_do_not_say_how_are_of_cropped_images(trained: Path, fit: str, tmp_path: Path) -> None:
    trained = Path(shutil.copytree(trained, tmp_path / "run"))
    model = load_run(trained)
    assert model.framing.fit == fit
    older = {key: value for key, value in read_weights(trained)[0].items() if key != "fit"}
    write_description(model.folder, older)
    with pytest.raises(InputError, match=r"data\.fit"):
        load_run(trained)
    recipe = trained / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(f'fit = "{fit}"\n', ""))
    assert load_run(trained).framing.fit == "crop"
    assert json.loads((trained / "weights/model.json").read_text()).get("fit", "crop") == "crop"
