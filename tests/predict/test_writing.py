"""Predictions written from Python: the file, what becomes of its images, and resuming after a stop."""

import logging
import re
import shutil
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import longtail
from longtail import predict
from longtail.data import images
from longtail.predict import Outcome
from longtail.predict.predictions_file import PredictionsFile
from longtail.predict.sources import ImageSources
from longtail.types import InputError


def pool_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")]


@pytest.fixture
def model(trained: Path, monkeypatch: pytest.MonkeyPatch) -> predict.Predictor:
    """One that takes two images at a time."""
    monkeypatch.setattr(predict.classifier, "evaluation_batch", lambda *_: 2)
    return longtail.load(trained)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_file_holds_what_predict_returns(
    model: predict.Predictor, paths: list[Path], tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / f"p.{suffix}"
    with (
        caplog.at_level(logging.INFO),
        pytest.warns(UserWarning, match=r"3\.png \(empty\); its row is empty") as said,
    ):
        outcome = model.predict_to(out, paths, top_k=2)
    assert f"{out}.unreadable.csv" in str(said[0].message)
    assert isinstance(outcome, Outcome)
    assert (outcome.rows, outcome.unreadable) == (6, [(str(paths[3]), "empty")])
    assert f"6 predictions in {out}" in caplog.messages
    with pytest.warns(UserWarning, match="its row is empty"):
        expected = model.predict(paths, top_k=2)
    text = {name: str for name in expected if not name.startswith(("confidence", "agreement"))}
    found = pd.read_csv(out, dtype=text) if suffix == "csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, atol=6e-7)


def test_a_stopped_call_is_resumed_and_a_finished_file_left_as_it_is(
    model: predict.Predictor, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, whole, out = (
        [path for path in paths if path != paths[3]],
        tmp_path / "whole.csv",
        tmp_path / "p.csv",
    )
    done, printed = list[int](), StringIO()
    asked = model.prediction(ImageSources(list(map(str, given))), progress=done.append)
    asked.write(PredictionsFile(whole))
    assert done == [0, 2, 4, 6]
    asked.print(printed)
    assert printed.getvalue() == whole.read_text("utf-8")
    infer = predict.classifier.infer

    def stopped(*words: Any) -> Iterator[Any]:
        for number, answer in enumerate(infer(*words)):
            if number == 1:
                raise KeyboardInterrupt
            yield answer

    with monkeypatch.context() as patched:
        patched.setattr(predict.classifier, "infer", stopped)
        with pytest.raises(KeyboardInterrupt) as error:
            model.predict_to(out, given)
    assert pool_threads() == []  # though the error holds the frames that used them
    assert re.search(r"2 predictions in .*p\.csv\.partial.*resume=True", str(error.value))
    with pytest.raises(InputError, match="left of a command that was stopped"):
        model.predict_to(out, given)
    with pytest.raises(InputError, match=r"other settings \(top_k\)"):
        model.predict_to(out, given, top_k=2, resume=True)
    rows, said = list[int](), list[str]()
    asked = model.prediction(ImageSources(list(map(str, given))), say=said.append, progress=rows.append)
    outcome = asked.write(PredictionsFile(out), resume=True)
    assert outcome is not None
    assert (outcome.rows, rows) == (6, [2, 4, 6])
    assert said[0] == f"resuming after 2 images in {out}.partial"
    assert out.read_bytes() == whole.read_bytes()
    assert model.predict_to(out, given, resume=True) is None
    with pytest.raises(InputError, match="exists"):
        model.predict_to(out, given)
    model.predict_to(out, given[:1], overwrite=True)
    assert len(pd.read_csv(out)) == 1


def test_what_is_no_file_of_an_image_is_refused(
    model: predict.Predictor, paths: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(InputError, match="1 image of 2 in memory"):
        model.predict_to(out, [paths[0], paths[1].read_bytes()])
    with pytest.raises(InputError, match=r"gone\.png"):
        model.predict_to(out, [paths[0], "gone.png"], strict=True)
    with pytest.raises(InputError, match=r"1 image cannot be read: .*3\.png"):
        model.predict_to(out, paths[3])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"1 image cannot be read: .*3\.png"):
        model.predict_to(out, paths, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv.partial"]  # the others stay
    with pytest.warns(UserWarning, match="1 source was given before"), pytest.warns(match="1 image cannot"):
        model.predict_to(tmp_path / "q.csv", [*paths, paths[0]])
    assert len(pd.read_csv(tmp_path / "q.csv")) == 8


def test_the_next_images_are_read_while_the_first_are_computed(
    model: predict.Predictor, paths: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(8):
        shutil.copy(paths[0], tmp_path / f"{number}.png")
    read, infer, seen = list[str](), predict.classifier.infer, list[int]()

    def reading(image: Path, **how: Any) -> Any:
        read.append(image.name)
        if len(read) == 6:
            all_ahead.set()
        return with_image(image, **how)

    def waiting(*words: Any) -> Iterator[Any]:
        for answer in infer(*words):
            if not seen:
                assert all_ahead.wait(60)
            seen.append(len(read))
            yield answer

    with_image, all_ahead = images.with_image, threading.Event()
    monkeypatch.setattr(images, "with_image", reading)
    monkeypatch.setattr(predict.classifier, "infer", waiting)
    assert len(model.predict(tmp_path)) == 8
    assert seen[0] == 6  # two for the answer, and two batches ahead, no more
    assert sorted(read) == [f"{number}.png" for number in range(8)]


def test_an_empty_list_is_refused_and_leaves_a_finished_file(
    model: predict.Predictor, paths: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    out.write_text("finished")
    with pytest.raises(InputError, match="no images are given"):
        model.predict_to(out, [], overwrite=True)
    assert out.read_text() == "finished"


def test_the_same_names_elsewhere_are_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / place / "a.png")
        monkeypatch.chdir(tmp_path / place)
        found.add(ImageSources(["a.png"]).fingerprint)
    assert len(found) == 2
