"""LongTailClassifier on files and arrays: labels, folders, pickles, searches, and what is refused."""

import csv
import errno
import gc
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import longtail
from longtail import InputError, LongTailClassifier
from longtail.estimator import kept_run
from longtail.estimator.classifier import _group_names

SETTINGS = {"model.num_experts": 2, "optim.batch_size": 16, "data.augment": ()}
NUMBER = 60


def classifier(**more: Any) -> LongTailClassifier:
    return LongTailClassifier("cross_entropy", "resnet8", 1, settings=SETTINGS, **more)


@pytest.fixture(scope="module")
def pixels() -> Any:
    digits = load_digits(n_class=3)
    return np.rint(digits.images[:NUMBER] * (255 / 16)).astype(np.uint8), digits.target[:NUMBER]


@pytest.fixture(scope="module")
def files(pixels: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[str]]:
    """Files with awkward names, and the classes zero, one, two."""
    folder = tmp_path_factory.mktemp('photos, "old" ü')
    paths = [folder / f"a {n}\n.png" for n in range(NUMBER)]
    for path, grey in zip(paths, pixels[0], strict=True):
        Image.fromarray(grey).save(path)
    return paths, [("zero", "one", "two")[c] for c in pixels[1]]


@pytest.fixture(scope="module")
def fitted(files: Any) -> LongTailClassifier:
    return classifier().fit(*files)


def test_predictions(fitted: LongTailClassifier, files: Any) -> None:
    paths, labels = files
    probabilities, predicted = fitted.predict_proba(paths), fitted.predict([str(path) for path in paths])
    assert fitted.classes_.tolist() == ["one", "two", "zero"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert predicted.tolist() == fitted.classes_[probabilities.argmax(axis=1)].tolist()
    assert fitted.score(paths, labels) == np.mean(predicted == labels)
    table = fitted.classifier_.predict(paths)
    assert table["label"].tolist() == predicted.tolist()
    np.testing.assert_allclose(table["confidence"], probabilities.max(axis=1), rtol=1e-5)


def test_a_file_given_twice_is_answered_twice(fitted: LongTailClassifier, files: Any) -> None:
    first, second = files[0][:2]
    found = fitted.predict_proba([first, second, first])
    np.testing.assert_array_equal(found[0], found[2])
    assert found.shape == (3, 3)


def test_one_image_is_one_and_forms_may_be_mixed(fitted: LongTailClassifier, files: Any, pixels: Any) -> None:
    grey = pixels[0]
    colour = np.repeat(grey[..., None], 3, axis=-1)
    expected = fitted.predict_proba(files[0][:3])
    for one in (colour[0], grey[0], grey[0][..., None], Image.fromarray(grey[0]), files[0][0].read_bytes()):
        np.testing.assert_allclose(fitted.predict_proba(one), expected[:1], rtol=1e-5)
        assert fitted.predict(one).shape == (1,)
    mixed = [files[0][0], colour[1], Image.fromarray(grey[2])]
    np.testing.assert_allclose(fitted.predict_proba(mixed), expected, rtol=1e-5)
    for wrong in (colour / 255, [], files[0][0].parent):
        with pytest.raises(InputError):
            fitted.predict(wrong)


def test_a_file_given_twice_to_train_on_is_reported(files: Any) -> None:
    paths, labels = files
    with pytest.warns(UserWarning, match=r"^2 of 62 paths are given again and count once"):
        classifier(validation_fraction=0.0).fit([*paths, *paths[:2]], [*labels, *labels[:2]])


def test_it_is_what_the_command_line_trains(fitted: LongTailClassifier, files: Any, tmp_path: Path) -> None:
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "label"))
        table.writerows(zip(*files, strict=True))
    run = longtail.train(
        tmp_path / "table.csv", method="cross_entropy", model="resnet8", epochs=1, out=tmp_path / "run",
        set=SETTINGS, quiet=True,
    )  # fmt: skip
    assert run.metrics == fitted.run_.metrics
    probabilities = longtail.load(run.path).predict_proba(files[0])
    order = [longtail.load(run.path).classes.index(name) for name in fitted.classes_]
    np.testing.assert_array_equal(probabilities[:, order], fitted.predict_proba(files[0]))


def test_arrays_give_what_their_files_give(fitted: LongTailClassifier, files: Any, pixels: Any) -> None:
    grey, _ = pixels
    colour = np.repeat(grey[..., None], 3, axis=-1)
    again = classifier().fit(grey, files[1])
    expected = fitted.predict_proba(files[0])
    np.testing.assert_array_equal(again.predict_proba(colour), expected)
    np.testing.assert_array_equal(fitted.predict_proba(grey), expected)


def test_labels_keep_their_type_and_order(pixels: Any) -> None:
    images, targets = pixels
    labels = np.array([9, 10, 100])[targets]  # as text 10 comes before 9
    made = classifier(validation_fraction=0.0).fit(images, labels)
    assert made.classes_.tolist() == [9, 10, 100]
    assert made.predict(images).dtype == labels.dtype
    assert made.run_.metrics is None  # nothing was held out


def test_it_predicts_on_its_device(
    fitted: LongTailClassifier, pixels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, expected = [], fitted.predict(pixels[0])

    def load(path: Path, device: str) -> Any:
        asked.append(device)
        return longtail.load(path, device="cpu")

    monkeypatch.setattr(kept_run, "load_run", load)
    again = pickle.loads(pickle.dumps(fitted))
    for device in ("auto", "cuda", "cuda"):
        assert again.set_params(device=device).predict(pixels[0]).tolist() == expected.tolist()
    assert asked == ["auto", "cuda"]


def test_a_pickle_holds_the_weights(fitted: LongTailClassifier, files: Any) -> None:
    made = clone(fitted).fit(*files)
    expected, place = made.predict_proba(files[0]), made.run_.path
    for name in ("report.html", "explain/00.webp", "export/model.onnx"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"a face")
    content = pickle.dumps(made)
    assert b"a face" not in content
    del made
    gc.collect()
    assert not place.parent.exists()  # the temporary folder went with it
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.predict_proba(files[0]), expected)
    assert again.run_.metrics is not None
    assert again.run_.path != place


def test_a_run_folder_is_kept(files: Any, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "kept"
    made = classifier(out=out).fit(*files)
    assert made.run_.path == out
    metrics = made.run_.metrics
    del made
    gc.collect()
    assert longtail.evaluate(out)["overall"] == metrics["overall"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["kept", "kept-images.csv"]
    with pytest.raises(InputError, match="not empty"):
        classifier(out=out).fit(*files)


def test_the_working_folder_can_be_the_run_folder(
    pixels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "kept"
    out.mkdir()
    monkeypatch.chdir(out)
    classifier(out=".", validation_fraction=0.0).fit(*pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "kept-images"]


def test_groups_are_held_out_whole(files: Any) -> None:
    groups = [f"camera {n // 6}" for n in range(NUMBER)]
    made = classifier(validation_fraction=0.3).fit(*files, groups=groups)
    held = set(made.run_.predictions["path"])
    assert 0 < len(held) < NUMBER
    taken = [str(path) in held for path in files[0]]
    assert all(len(set(taken[n : n + 6])) == 1 for n in range(0, NUMBER, 6))


def test_an_image_without_a_group_is_one_by_itself() -> None:
    assert _group_names(["a", None, float("nan"), pd.NA, 3]) == ["a", "", "", "", "3"]
    assert _group_names(["a", float("nan")]) == ["a", ""]


def test_cross_validation_pipeline_and_search(files: Any) -> None:
    paths, labels = np.array(files[0]), np.array(files[1])
    groups = np.arange(NUMBER) // 6
    quick = classifier(validation_fraction=0.0)
    scores = cross_val_score(quick, paths, labels, cv=GroupKFold(2), groups=groups, error_score="raise")
    assert len(scores) == 2
    pipeline = make_pipeline(FunctionTransformer(lambda given: [Path(one) for one in given]), quick)
    grid = {"longtailclassifier__method": ["cross_entropy", "balanced_softmax"]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="balanced_accuracy", error_score="raise").fit(
        paths, labels
    )
    assert search.best_params_.keys() == grid.keys()
    assert (search.predict(paths) == search.best_estimator_.predict(paths)).all()


def test_seeds(pixels: Any) -> None:
    def found(state: Any) -> Any:
        return (
            classifier(random_state=state, validation_fraction=0.0).fit(*pixels).predict_proba(pixels[0][:5])
        )

    drawn = found(np.random.RandomState(3))
    np.testing.assert_array_equal(drawn, found(np.random.RandomState(3)))
    assert not np.array_equal(drawn, found(0))


def test_unreadable_images_are_named(files: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    paths, labels = [*files[0], tmp_path / "broken.png"], [*files[1], "four"]
    with pytest.warns(UserWarning, match=r"1 image cannot be read: .*broken.png .*left out"):
        made = classifier().fit(paths, labels)
    assert made.classes_.tolist() == ["one", "two", "zero"]  # the only image of "four" is the broken one
    assert made.predict_proba(files[0]).shape == (NUMBER, 3)
    with pytest.raises(InputError, match=r"1 image cannot be read: .*broken.png \(not an image\)"):
        made.predict(paths)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ("photo.png", ["a"], "X is a single str; give paths"),
        ([], [], "X has 0 images"),
        (np.zeros((8, 8, 3), np.uint8), ["a"] * 8, r"X of shape \(8, 8, 3\) is one image"),
        ([[0.1, 0.2]], ["a"], r"float64 of shape \(1, 2\); give paths"),
        (["a.png", 3.5], ["a", "b"], "X holds 3.5, a float"),
        ([b"a.png", b"b.png"], ["a", "b"], r"X is \|S5"),
        (["a.png", "b.png"], ["a", "a"], "y holds 1 class, 'a'"),
        (["a.png", "b.png"], ["a", " "], "y holds a blank label"),
        (["a.png", "b.png"], np.array(["a", 1], dtype=object), "labels of different types"),
        (["a.png", "b.png"], ["a"], "inconsistent numbers of samples"),
        (["a.png", "b.png"], ["a", "b"], "none of 2 images of X exists"),
    ],
)
def test_refusals(X: Any, y: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(out=tmp_path / "run").fit(X, y)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "icll"}, "icl"),
        ({"validation_fraction": 1.5}, "data.validation = 1.5 does not fit"),
        ({"settings": {"optim.epoch": 3}}, "optim.epochs"),
    ],
)
def test_refused_parameters_leave_nothing(given: Any, message: str, files: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        LongTailClassifier(out=tmp_path / "run").set_params(**given).fit(*files)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [0, 1], ids=["table", "packed set"])
def test_a_set_that_was_not_finished_is_in_nobodys_way(
    form: int, files: Any, pixels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, then on a full disk, as the last of its bytes are written."""
    given = (files, pixels)[form]
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for trouble, seen in ((KeyboardInterrupt(), KeyboardInterrupt), (full, InputError)):

        def stop(*_: Any, error: BaseException = trouble, **__: Any) -> None:
            raise error

        monkeypatch.setattr(f"longtail.estimator.pictures.{('encode', 'write_manifest')[form]}", stop)
        with pytest.raises(seen) as found:
            classifier(out=tmp_path / "run").fit(*given)
        assert list(tmp_path.iterdir()) == []
        assert seen is KeyboardInterrupt or "another out" in str(found.value)
