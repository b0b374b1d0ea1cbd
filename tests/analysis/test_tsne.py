"""t-SNE of features: which images, which classes, and what its picture shows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from longtail.analysis import tsne
from longtail.analysis.sources import named_runs
from longtail.types import InputError
from run_factory import made_up_run


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], None]:
    """Make runs answer with features that separate their classes, of two experts."""

    def features(targets: np.ndarray) -> None:
        def asked(
            run: object, choose: Callable[..., np.ndarray]
        ) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
            rows = choose(targets, np.array([entry["count"] for entry in run.classes]))  # type: ignore[attr-defined]
            own, rng = targets[rows], np.random.default_rng(0)
            apart = np.eye(40)[own] + 0.05 * rng.normal(size=(len(own), 40))
            noise = rng.normal(size=(len(own), 40))
            return np.stack([apart, noise]).astype(np.float32), own, tuple(f"test/{row}" for row in rows)

        monkeypatch.setattr(tsne, "features_of", asked)

    return features


def test_ten_classes_and_at_most_so_many_images(
    tmp_path: Path,
    features: Callable[[np.ndarray], None],
    drawn: Callable[..., Figure],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tsne, "IMAGES", 6)
    features(np.repeat(np.arange(40), 8)[: 38 * 8])  # the two smallest classes have no images
    run = made_up_run(tmp_path / "a run", num_classes=40)
    table = tsne.compute(named_runs([run]))
    assert table["features"].unique().tolist() == ["expert 1", "expert 2", "all experts"]
    assert table["class"].unique().tolist() == [f"class {c}" for c in (0, 4, 8, 12, 16, 21, 25, 29, 33, 37)]
    assert (table.groupby(["features", "class"]).size() == 6).all()
    silhouette = table.groupby("features")["silhouette"].mean()
    assert silhouette["expert 1"] > 0.8 > silhouette["all experts"] > 0.1 > silhouette["expert 2"]
    assert "of 10 of them the first 6 images alone" in tsne.notes(table)[0]
    joint = table[table["features"] == "expert 1"]
    centres = joint.groupby("class")[["x", "y"]].mean().reindex(joint["class"]).to_numpy()
    spread = np.linalg.norm(joint[["x", "y"]].to_numpy() - centres, axis=1).mean()
    assert spread < np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean()
    pd.testing.assert_frame_equal(table, tsne.compute(named_runs([run])))
    drawn(tsne, table, ("run", "class", "path"))


def test_a_single_class_is_refused(tmp_path: Path, features: Callable[[np.ndarray], None]) -> None:
    features(np.zeros(5, dtype=int))
    run = made_up_run(tmp_path / "a", num_classes=4)
    with pytest.raises(InputError, match="single class"):
        tsne.compute(named_runs([run]))


def test_two_images_have_places_too() -> None:
    places, silhouette = tsne.embedded(np.eye(2, 5, dtype=np.float32), np.array([0, 1]), 0)
    assert places.shape == (2, 2)
    assert silhouette.tolist() == [0, 0]
