"""The exported folder and the model card: loads without its run, and says nothing that is not so."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import longtail
from longtail.export import describe, export
from longtail.export.card import model_card, plain
from longtail.predict import load_run
from longtail.types import InputError


@pytest.fixture
def run(hostile: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(hostile, tmp_path / "run"))


@pytest.fixture
def folder(run: Path, tmp_path: Path, paths: list[Path]) -> Path:
    return export(run, "folder", tmp_path / "model", data=paths[0].parent).path


def card_of(run: Path) -> str:
    return model_card(run, describe(load_run(run)), ["..."])


def test_a_description_that_names_no_fit_is_of_crops(run: Path) -> None:
    facts = describe(load_run(run))
    older = {key: value for key, value in facts.items() if key != "fit"}
    assert model_card(run, older, ["..."]) == model_card(run, {**facts, "fit": "crop"}, ["..."])
    assert model_card(run, older, ["..."]) != model_card(run, {**facts, "fit": "pad"}, ["..."])


def test_a_folder_needs_no_run(run: Path, folder: Path, paths: list[Path]) -> None:
    expected = longtail.load(run).predict(paths, top_k=2)
    proba = longtail.load(run).predict_proba(paths)
    shutil.rmtree(run)
    moved = folder.rename(folder.with_name("moved"))
    model = longtail.load(moved)
    pd.testing.assert_frame_equal(model.predict(paths, top_k=2), expected)
    np.testing.assert_array_equal(model.predict_proba(paths), proba)
    files = {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"}
    assert {file.name for file in moved.iterdir()} == files
    assert not any(str(run.parent).encode() in file.read_bytes() for file in moved.iterdir())


def test_what_a_folder_says_of_itself(run: Path, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    model = load_run(run)
    assert config["id2label"] == {str(index): name for index, name in enumerate(model.classes)}
    assert config["label2id"] == {name: index for index, name in enumerate(model.classes)}
    assert config["class_counts"] == [4] * 5
    look = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    assert look["size"] == {"height": 8, "width": 8}
    assert (look["image_mean"], look["image_std"]) == (config["mean"], config["std"])


def test_a_calibration_error_goes_with_the_temperature_of_its_evaluation(run: Path) -> None:
    file = run / "eval" / "test" / "metrics.json"
    metrics = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(metrics | {"temperature": 1.25, "ece_calibrated": 0.0625}), "utf-8")
    assert "Expected calibration error: 6.2 % (temperature 1.25)." in card_of(run)


def test_an_exported_folder_is_no_run(folder: Path) -> None:
    with pytest.raises(InputError, match="calibrate its run"):
        load_run(folder).calibrate()
    with pytest.raises(InputError, match="evaluate its run"):
        load_run(folder).evaluate()
    assert not (folder / "eval").exists()
    with pytest.raises(InputError, match="is not a run folder"):
        export(folder, "pt2")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"model_type": "longtail"}'),
        ("config.json", '{"model_type": "longtail", "recipe": 3, "class_counts": [1], "status": {}}'),
        ("model.safetensors", "nothing"),
    ],
)
def test_damaged_folders_are_refused(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=name):
        longtail.load(folder)


def test_an_earlier_folder_is_replaced_when_asked(run: Path, folder: Path, paths: list[Path]) -> None:
    (folder / "old").touch()
    with pytest.raises(InputError, match="--overwrite"):
        export(run, "folder", folder, data=paths[0])
    assert (folder / "old").exists()
    export(run, "folder", folder, data=paths[0], overwrite=True)
    assert not (folder / "old").exists()
    assert not list(folder.parent.glob(".*"))


def test_the_front_matter_is_what_the_hub_reads(run: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    _, front, body = card_of(run).split("---\n", 2)
    about = yaml.safe_load(front)
    assert (about["library_name"], about["pipeline_tag"]) == ("longtail", "image-classification")
    (result,) = about["model-index"][0]["results"]
    metrics = json.loads((run / "eval/test/metrics.json").read_text())
    assert result["metrics"][0]["value"] == metrics["overall"]
    assert body.startswith("\n# data-cross")


def test_a_card_says_what_is_known_and_leaves_the_rest_open(run: Path) -> None:
    card = card_of(run)
    assert "20 images of 5 classes; the largest class has 4, the smallest 4 (imbalance factor 1)" in card
    assert card.count("to be filled in by the owner") == 2
    assert "| overall | " in card
    assert "On the test split, 8 images, after epoch 1." in card
    assert card.count("too few to say |") == 4  # of two test images a class, no recall is given
    rows = pd.read_csv(run / "eval/test/per_class.csv", dtype=str, keep_default_na=False)
    untested = rows[rows["test_images"] == "0"]["class"].item()
    assert f"Not tested, no test images: {plain(untested)}." in card
    never = rows[rows["precision"] == ""]["class"]
    assert f"Never predicted on the test images: {', '.join(map(plain, never))}." in card
    shutil.rmtree(run / "eval")
    assert "nothing is known of how often it is right" in card_of(run)


def test_class_names_do_nothing_to_a_card(run: Path) -> None:
    card = card_of(run)
    assert "<img" not in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {4, 5, 6}  # three tables, of 3, 4 and 5 columns
    assert "a, b\\nc" in card.replace("&#92;", "\\")


def test_a_card_that_was_filled_in_is_kept(adjusted: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(adjusted.run, tmp_path / "run"))
    assert "digits" in (run / "MODEL_CARD.md").read_text("utf-8")
    (run / "MODEL_CARD.md").write_text("mine")
    assert export(run, "folder").card is None
    assert (run / "MODEL_CARD.md").read_text() == "mine"
    (run / "MODEL_CARD.md").unlink()
    assert export(run, "folder", overwrite=True).card == run / "MODEL_CARD.md"
