"""Predictions averaged over views of each image."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import longtail
from longtail.engine.several_views import VIEWS, View, averaged, show, views_of
from longtail.types import Batch, InputError

Run = Callable[..., tuple[int, str, str]]


def make_run(folder: Path, augment: list[str]) -> Path:
    given = {"model.name": "resnet8", "optim.batch_size": 128, "data.augment": augment, "data.max_count": 30}
    longtail.train("icl-digits", method="cross_entropy", epochs=1, out=folder, set=given, quiet=True)
    return folder


@pytest.fixture(scope="module")
def flipping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("flipping") / "run", ["flip"])


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(5)]


def test_a_count_stands_for_different_views_the_image_first() -> None:
    for count in VIEWS:
        views = views_of(count)
        assert len(set(views)) == len(views) == count
        assert views[0] == View()
    image = torch.arange(3 * 64).reshape(1, 3, 8, 8).to(torch.uint8)
    assert torch.equal(show(image, View(mirrored=True)), image.flip(-1))
    corners = [show(image, View(corner)) for corner in range(4)]
    at = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert all(torch.equal(c[..., y, x], image[..., y, x]) for c, (y, x) in zip(corners, at, strict=True))


def test_probabilities_are_averaged_after_the_temperature() -> None:
    logits = {0: torch.tensor([[2.0, 0.0]]), 1: torch.tensor([[0.0, 6.0]])}

    def ask(stream: Any) -> Any:
        for number, batch in enumerate(stream):
            yield batch, logits[number % 2], logits[number % 2][None]

    batch = Batch(torch.zeros((1, 3, 4, 4), dtype=torch.uint8), torch.zeros(1).long(), torch.zeros(1).long())
    ((_, together, each),) = averaged(ask, iter([batch]), 2, 2.0)
    mean = ((logits[0] / 2).softmax(-1) + (logits[1] / 2).softmax(-1)) / 2
    torch.testing.assert_close((together / 2).softmax(-1), mean)
    torch.testing.assert_close((each[0] / 2).softmax(-1), mean)


def test_a_prediction_is_the_mean_of_its_views(flipping: Path, images: list[np.ndarray]) -> None:
    model = longtail.load(flipping)
    both = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    mean = (model.predict_proba(images) + model.predict_proba(both)) / 2
    np.testing.assert_allclose(model.predict_proba(images, views=2), mean, atol=1e-6)
    table = model.predict(images, views=10)
    assert table["views"].tolist() == [10] * 5
    assert "views" not in model.predict(images)
    for count in (0, 3, 11):
        with pytest.raises(InputError, match="views"):
            model.predict(images, views=count)


def test_no_mirror_images_for_a_network_that_saw_none(tmp_path: Path, images: list[np.ndarray]) -> None:
    model = longtail.load(make_run(tmp_path / "run", ["crop"]))
    for count in (2, 10):
        with pytest.raises(InputError, match="flips"):
            model.predict(images, views=count)
    assert len(model.predict(images, views=5)) == 5


def test_the_number_is_with_the_scores_and_in_the_file(
    run: Run, refused: Callable[..., str], flipping: Path, images: list[np.ndarray], tmp_path: Path
) -> None:
    before = (flipping / "eval/test/metrics.json").read_bytes()
    assert run("evaluate", flipping, "--views", "2")[0] == 0
    metrics = json.loads((flipping / "eval/test-views-2/metrics.json").read_text())
    assert metrics["views"] == 2
    assert metrics["nll"] != json.loads(before)["nll"]
    assert (flipping / "eval/test/metrics.json").read_bytes() == before
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "9.png").write_bytes(b"")
    for name, read in (("a.csv", pd.read_csv), ("a.parquet", pd.read_parquet)):
        words = ("predict", flipping, *sorted(tmp_path.glob("*.png")), "-o", tmp_path / name)
        assert run(*words, "--views", "5")[0] == 1  # one cannot be read
        table = read(tmp_path / name)
        assert table["views"].tolist() == [5] * 6
        assert table["label"].isna().sum() == 1
        assert "views" in refused(*words, "--resume")  # made with other settings
