"""The Python API: the same words as the command line, and nothing heavy before it is used."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import longtail

QUICK = {"model.name": "resnet8", "model.num_experts": 2, "optim.batch_size": 128}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> longtail.Run:
    out = tmp_path_factory.mktemp("api") / "run"
    return longtail.train(
        "icl-digits", method="cross_entropy", epochs=2, seed=1, out=out, set=QUICK, quiet=True
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def test_all_names_are_there() -> None:
    assert all(getattr(longtail, name) for name in longtail.__all__)
    assert set(longtail.__all__) <= set(dir(longtail))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        longtail.trian  # noqa: B018


def test_train_returns_where_and_how_good(run: longtail.Run) -> None:
    assert run.finished
    assert run.metrics == json.loads((run.path / "eval/test/metrics.json").read_text())
    assert run.recipe["run"]["seed"] == 1
    assert run.recipe["optim"]["batch_size"] == 128
    assert run.recipe["method"] == {"name": "cross_entropy"}
    assert len(run.log) == 2
    assert str(run) == "cross_entropy with resnet8, 2 experts, on digits"


def test_resume_of_a_finished_run_changes_nothing(run: longtail.Run) -> None:
    weights = (run.path / "weights/last.safetensors").stat()
    again = longtail.train(run.path, resume=True, quiet=True)
    assert (again.path, again.metrics) == (run.path, run.metrics)
    assert (run.path / "weights/last.safetensors").stat() == weights


def test_bad_input_raises(tmp_path: Path) -> None:
    with pytest.raises(longtail.InputError, match="icl-digits"):
        longtail.train("icl-digit", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_load_and_predict(run: longtail.Run, images: Path) -> None:
    model = longtail.load(run.path)
    assert model.note is None
    assert model.classes == tuple("0123456789")
    table = model.predict(images, top_k=2)
    probabilities = model.predict_proba([images / "a.png", images / "b.png", images / "c.png"])
    assert list(table["path"]) == [str(images / f"{name}.png") for name in "abc"]
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert list(table["label"]) == [model.classes[c] for c in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"], probabilities.max(axis=1), rtol=1e-5)
    assert (table["confidence_2"] <= table["confidence"]).all()


def test_evaluate_gives_metrics_again(run: longtail.Run) -> None:
    assert run.metrics is not None
    metrics = longtail.evaluate(run.path)
    assert metrics["overall"] == run.metrics["overall"]
    assert metrics["num_images"] == 500
    balanced = longtail.evaluate(run.path, prior="uniform")
    assert balanced["split"] == "test-prior-uniform"
    assert set(balanced["prior"].values()) == {0.1}
