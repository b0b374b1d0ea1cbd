"""`longtail figure`: its files, what it refuses, and what it asks of a trained network."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from command_words import commands
from longtail.analysis import tsne
from longtail.predict import load_run
from run_factory import made_up_run

Run = Callable[..., tuple[int, str, str]]
FIGURES = [words.removeprefix("figure ") for words in commands() if words.startswith("figure ")]
OF_RUNS = [name for name in FIGURES if name not in ("grid", "gradient-share")]


def table_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(
        folder / f"{name}.csv",
        dtype={"run": str, "class": str, "name": str},
        keep_default_na=False,
        na_values=[""],
    )


@pytest.mark.parametrize("name", OF_RUNS)
def test_a_table_and_two_pictures(
    run: Run, finished: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tsne, "IMAGES", 4)
    out = tmp_path / "new" / "figures"
    code, said, err = run("figure", name, finished, "-o", out)
    assert code == 0, err
    assert said.splitlines() == [str(out / f"{name}.{ending}") for ending in ("csv", "png", "svg")]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        Path(line).name for line in said.splitlines()
    )
    assert len(table_of(out, name)) > 0
    with Image.open(out / f"{name}.png") as picture:
        assert min(picture.size) > 400
        assert np.asarray(picture.convert("L")).std() > 5
    assert (out / f"{name}.svg").read_text("utf-8").startswith("<?xml")


def test_where_it_is_written(run: Run, refused: Callable[..., str], own: Path, tmp_path: Path) -> None:
    for _ in range(2):  # a figure of the run's own folder is replaced
        assert run("figure", "class-size", own)[0] == 0
    assert (own / "figures" / "class-size.png").is_file()
    other = Path(shutil.copytree(own, tmp_path / "other"))
    assert "-o figures" in refused("figure", "class-size", own, other)
    out = tmp_path / "both"
    assert run("figure", "class-size", own, other, "-o", out)[0] == 0
    assert table_of(out, "class-size")["run"].unique().tolist() == ["run", "other"]
    before = (out / "class-size.csv").read_bytes()
    assert "--overwrite" in refused("figure", "class-size", own, "-o", out)
    assert (out / "class-size.csv").read_bytes() == before
    assert run("figure", "class-size", own, "-o", out, "--overwrite")[0] == 0
    assert (out / "class-size.csv").read_bytes() != before


def test_what_is_refused(refused: Callable[..., str], own: Path, tmp_path: Path) -> None:
    assert "given twice" in refused("figure", "calibration", own, own, "-o", tmp_path / "out")
    assert "train" in refused("figure", "calibration", tmp_path / "nowhere")
    assert "run.probes" in refused("figure", "gradient-share", own)
    (tmp_path / "file").touch()
    assert "not a folder" in refused("figure", "calibration", own, "-o", tmp_path / "file")
    assert "no results" in refused("figure", "grid", own, "-o", tmp_path / "out")
    assert "--prior-known" in refused("figure", "shifted-mix", own, "--prior", "uniform")
    shutil.rmtree(own / "eval")
    assert "longtail evaluate" in refused("figure", "calibration", own)
    assert not (own / "figures").exists()
    assert not (tmp_path / "out").exists()


def test_no_picture_goes_among_the_images_of_a_run(refused: Callable[..., str], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    made = made_up_run(tmp_path / "run", num_classes=4, data=str(photos))
    assert "among the images" in refused("figure", "class-size", made, "-o", photos / "figures")
    assert list(photos.iterdir()) == []


def test_divergence_is_that_of_the_logits(run: Run, finished: Path, tmp_path: Path) -> None:
    assert run("figure", "expert-kl", finished, "-o", tmp_path)[0] == 0
    table = table_of(tmp_path, "expert-kl")
    assert set(table["measured"]) == {"now"}
    classifier = load_run(finished)
    split = classifier.images()
    with torch.inference_mode():
        _, each = classifier.logits(split.images)
    a, b = each.double().log_softmax(-1)
    both = (a.exp() * (a - b) + b.exp() * (b - a)).sum(-1)
    for c, row in enumerate(table[table["level"] == "class"].itertuples()):
        assert row.kl == pytest.approx(float(both[split.targets == c].mean()), rel=1e-4)
        assert row.kl_of_a_pair == pytest.approx(row.kl / 2)


def test_a_known_uniform_mix_scores_as_evaluate_does(run: Run, own: Path, tmp_path: Path) -> None:
    assert run("figure", "shifted-mix", own, "-o", tmp_path / "out", "--prior-known")[0] == 0
    table = table_of(tmp_path / "out", "shifted-mix").set_index(["prior", "mix", "factor"])["accuracy"]
    classifier = load_run(own)
    assert table["unknown", "uniform", 1] == pytest.approx(classifier.folder.metrics("test")["macro"])
    assert table["known", "uniform", 1] == pytest.approx(classifier.evaluate(prior="uniform")["macro"])
    assert table["known", "forward", 50] != table["unknown", "forward", 50]


def test_features_are_those_of_the_images_named(
    run: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tsne, "IMAGES", 3)
    seen = {}

    def embedded(points: np.ndarray, target: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        seen[points.shape[1]] = points
        return np.zeros((len(points), 2)), np.zeros(len(points))

    monkeypatch.setattr(tsne, "embedded", embedded)
    assert run("figure", "tsne", finished, "-o", tmp_path)[0] == 0
    table = table_of(tmp_path, "tsne")
    assert table["features"].unique().tolist() == ["expert 1", "expert 2", "all experts"]
    assert (table.groupby(["features", "class"]).size() == 3).all()
    classifier = load_run(finished)
    split = classifier.images()
    joint = table[table["features"] == "all experts"]
    rows = [split.ids.index(path) for path in joint["path"]]
    assert [classifier.classes[c] for c in split.targets[rows]] == joint["class"].tolist()
    with torch.inference_mode():
        features = classifier.model(classifier._augment.normalize(split.images[rows])).features
    unit = torch.nn.functional.normalize(features, dim=-1)
    assert np.allclose(seen[2 * features.shape[-1]], torch.cat([*unit], dim=1).numpy(), atol=1e-4)
