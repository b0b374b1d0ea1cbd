"""Decisions on the command line: temperature, class prior, abstaining, and predictions that were interrupted."""

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import longtail
from longtail.data.content import content_hash
from longtail.predict import classifier as predict_classifier

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
NAMES = [str(c) for c in range(10)]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def metrics(run: Path, split: str = "test") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / f"eval/{split}/metrics.json").read_text())
    return found


def test_calibrate_makes_confidences_honest_and_changes_no_label(run: Run, own: Path, few: Path) -> None:
    code, before, _ = run("predict", own, few)
    assert code == 0
    code, out, _ = run("calibrate", own, "--data", few)
    assert code == 0
    assert "temperature 1.000" not in out
    assert "export" not in out
    assert run("evaluate", own)[0] == 0
    found = metrics(own)
    model = json.loads((own / "weights/model.json").read_text())
    assert model["temperature"] == found["temperature"] == longtail.load(own).temperature != 1
    assert found["temperature_from"] == model["temperature_from"] == few.name
    assert found["nll_calibrated"] != found["nll"]
    table = pd.read_parquet(own / "eval/test/predictions.parquet")
    assert (table["confidence"] != table["uncalibrated_confidence"]).any()
    _, after, _ = run("predict", own, few)
    assert [row["label"] for row in rows(after)] == [row["label"] for row in rows(before)]
    truth = [NAMES.index(Path(row["path"]).parent.name) for row in rows(after)]
    probabilities = longtail.load(own).predict_proba(few)
    honest = -np.log(probabilities[range(len(truth)), truth]).mean()
    for other in (0.8, 1.25):  # the fitted temperature is the best
        scaled = np.exp(np.log(probabilities) / other)
        scaled /= scaled.sum(1, keepdims=True)
        assert -np.log(scaled[range(len(truth)), truth]).mean() > honest
    (own / "export" / "model").mkdir(parents=True)
    _, out, _ = run("calibrate", own, "--data", few)
    assert f"{own / 'export'} keeps the temperature from before; export again with --overwrite" in out


def test_calibrate_refuses(refused: Refused, own: Path, few: Path, tmp_path: Path) -> None:
    before = (own / "weights/last.safetensors").read_bytes()
    assert "--data PATH" in refused("calibrate", own)  # it has no validation split
    assert "does not exist" in refused("calibrate", own, "--data", "nowhere")
    label = rows(longtail.load(own).predict(few).to_csv())[0]  # one image, and the label that it gets
    shutil.copytree(few / "0", tmp_path / "one" / label["label"])
    for path in sorted((tmp_path / "one" / label["label"]).iterdir())[1:]:
        path.unlink()
    (tmp_path / "one" / NAMES[int(label["label"]) - 1]).mkdir()
    assert "settle no temperature" in refused("calibrate", own, "--data", tmp_path / "one")
    assert (own / "weights/last.safetensors").read_bytes() == before


def train_on(run: Path, images: list[Path]) -> None:
    """Make it seem that a run was trained on these images."""
    table = pd.read_csv(run / "splits.csv", dtype=str)
    rows = table.index[table["split"] == "train"][: len(images)]
    table.loc[rows, "content"] = [content_hash(image) for image in images]
    table.to_csv(run / "splits.csv", index=False)


def test_images_that_were_trained_on_are_counted_and_not_calibrated_on(
    run: Run, refused: Refused, own: Path, few: Path
) -> None:
    images = sorted(few.rglob("*.png"))
    train_on(own, images[:7])
    _, out, _ = run("evaluate", own, "--data", few)
    assert "7 of 80 images were trained on" in out
    assert metrics(own, few.name)["trained_on"] == 7
    _, out, _ = run("calibrate", own, "--data", few)
    assert "73 images of 10 classes" in out
    assert "7 more were trained on and left out" in out
    assert "7 of 80 images were trained on" in refused("evaluate", own, "--data", few, "--strict")
    strict = refused("calibrate", own, "--data", few, "--strict")
    assert ("7 of 80 images were trained on" in strict, strict.count("--strict")) == (True, 1)
    train_on(own, images[:41])
    before = (own / "weights/model.json").read_text()
    assert "41 of 80 images" in refused("calibrate", own, "--data", few)
    assert (own / "weights/model.json").read_text() == before


def test_a_run_that_lists_no_contents_says_so(run: Run, own: Path, few: Path) -> None:
    pd.read_csv(own / "splits.csv", dtype=str).drop(columns="content", errors="ignore").to_csv(
        own / "splits.csv", index=False
    )
    _, out, _ = run("evaluate", own, "--data", few)
    assert "does not list what its training images hold" in out
    assert metrics(own, few.name)["trained_on"] is None
    assert "does not list what its training images hold" in run("calibrate", own, "--data", few).out


def test_a_class_mix_reweights_the_probabilities(finished: Path, few: Path, tmp_path: Path) -> None:
    model = longtail.load(finished)
    plain = model.predict_proba(few).astype(float)
    np.testing.assert_allclose(model.predict_proba(few, prior="uniform"), plain, rtol=1e-4)  # ICL's own
    counts = {row["name"]: row["count"] for row in json.loads((finished / "classes.json").read_text())}
    given = {name: 7.0 * counts[name] for name in reversed(NAMES)}
    expected = plain * [counts[name] for name in NAMES]
    expected /= expected.sum(1, keepdims=True)
    for prior in ("train", given):
        np.testing.assert_allclose(model.predict_proba(few, prior=prior), expected, rtol=1e-4, atol=1e-7)


def test_prior_files(run: Run, finished: Path, few: Path, tmp_path: Path) -> None:
    weights = {name: 0 if name in ("0", "1", "2") else int(name) for name in reversed(NAMES)}
    lines = ["class,weight", *(f"{name},{weight}" for name, weight in weights.items())]
    found = []
    for name, data in {
        "mix.json": json.dumps(weights).encode(),
        "mix.csv": "\n".join(lines).encode(),
        "bom.csv": "\r\n".join(lines).encode("utf-8-sig"),
        "wide.csv": "\n".join(lines).encode("utf-16"),
    }.items():
        (tmp_path / name).write_bytes(data)
        code, out, _ = run("predict", finished, few, "--prior", tmp_path / name)
        assert code == 0
        found.append(rows(out))
    assert all(other == found[0] for other in found)
    assert {row["label"] for row in found[0]} <= set("3456789")
    assert {row["expert_1"] for row in found[0]} <= set("3456789")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"0": 1}', "lacks 1, 2, 3, 4, 5, 6, 7, 8, 9;"),
        ("b.json", '{"00": 1}', "did you mean '0'?"),
        ("c.json", json.dumps(dict.fromkeys(NAMES, 0)), "every class the weight 0"),
        ("d.json", json.dumps(dict.fromkeys(NAMES, -1)), "numbers of 0 or more"),
        ("e.json", json.dumps(dict.fromkeys(NAMES, True)), "numbers of 0 or more"),
        ("f.json", '{"0": 1, "0": 2}', "twice"),
        ("g.json", "[1, 2]", "cannot read the prior"),
        ("h.json", "{", "h.json is damaged"),
        ("i.csv", "name,weight\n0,1\n", "its columns are name, weight"),
        ("j.csv", "class,weight\n0\n", "line 2 of"),
        ("k.csv", "", "its columns are none"),
        ("missing.csv", None, "neither uniform nor train nor a file"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(
    refused: Refused, finished: Path, few: Path, tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    out = tmp_path / "out.csv"
    assert message in refused("predict", finished, few, "--prior", tmp_path / name, "-o", out)
    assert not out.exists()


def test_evaluate_with_a_class_mix_has_a_place_of_its_own(run: Run, own: Path) -> None:
    before = (own / "eval/test/metrics.json").read_text()
    code, out, _ = run("evaluate", own, "--prior", "train")
    assert code == 0
    found = metrics(own, "test-prior-train")
    assert found["prior"]["0"] > found["prior"]["9"]
    assert math.isclose(sum(found["prior"].values()), 1)
    assert (own / "eval/test/metrics.json").read_text() == before
    assert "Leaving the least confident without a label" in out
    curve = pd.read_csv(own / "eval/test-prior-train/risk_coverage.csv")
    table = pd.read_parquet(own / "eval/test-prior-train/predictions.parquet")
    half = curve[curve["coverage"] >= 0.5].iloc[-1]
    kept = table[table["confidence"] >= half["threshold"] - 1e-7]
    assert len(kept) == half["images"]
    assert (kept["label"] != kept["class"]).mean() == pytest.approx(half["error"])


def test_below_the_limit_the_label_is_empty(run: Run, refused: Refused, finished: Path, few: Path) -> None:
    _, out, _ = run("predict", finished, few)
    plain = rows(out)
    least = sorted(float(row["confidence"]) for row in plain)[40]
    code, out, err = run("predict", finished, few, "--abstain-below", least)
    assert code == 0
    found = rows(out)
    assert [row["best_label"] for row in found] == [row["label"] for row in plain]
    low = [row["abstained"] == "true" for row in found]
    assert 38 <= sum(low) <= 41  # of 80
    for row, abstained in zip(found, low, strict=True):
        assert row["label"] == ("" if abstained else row["best_label"])
        assert row["abstained"] in ("true", "false")
    assert f"{sum(low)} of 80 images have no label" in err
    doubtful = sum(float(row["agreement"]) < 1 or float(row["confidence"]) < 0.5 for row in found)
    assert f"{doubtful} of 80 images need review" in err
    assert "abstain-below" in refused("predict", finished, few, "--abstain-below", 1.5)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_predictions_go_on_where_they_were_interrupted(
    run: Run,
    refused: Refused,
    own: Path,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    images, out = tmp_path / "my images", tmp_path / f"out.{suffix}"
    shutil.copytree(few, images)
    (images / "0" / "bad.png").write_bytes(b"no image")
    shutil.copy(next((few / "9").iterdir()), images / "line\nbreak.png")
    shutil.copy(next((few / "8").iterdir()), os.fsencode(images) + b"/\xff.png")
    monkeypatch.setattr(predict_classifier, "evaluation_batch", lambda *_: 8)
    words = ("predict", own, images, "-o", out, "--top-k", 2)
    assert run(*words)[0] == 1  # an image has no prediction
    whole = out.rename(tmp_path / f"whole.{suffix}")
    (tmp_path / f"out.{suffix}.unreadable.csv").unlink()
    infer, computed = predict_classifier.infer, []

    def stopping(*given: Any) -> Iterator[Any]:
        for number, answer in enumerate(infer(*given)):
            if number == 3 and not computed:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(predict_classifier, "infer", stopping)
    code, _, err = run(*words)
    assert code == 130
    assert f"interrupted with 23 predictions in {out}.partial; resume with: longtail predict" in err
    assert err.rstrip().endswith("--top-k 2 --resume")
    assert not out.exists()
    assert "resume it with --resume" in refused(*words)
    for more, changed in (
        (("--abstain-below", "0.5"), "abstain_below"), (("--prior", "train"), "prior"), ((few,), "sources"),
    ):  # fmt: skip
        assert f"other settings ({changed})" in refused(*words, "--resume", *more)

    def counting(*given: Any) -> Iterator[Any]:
        for answer in infer(*given):
            computed.append(answer[1].shape[0])
            yield answer

    monkeypatch.setattr(predict_classifier, "infer", counting)
    code, _, err = run(*words, "--resume")
    assert code == 1
    assert "resuming after 24 images" in err  # the broken one among them
    assert sum(computed) == 82 - 23
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    options = {"encoding_errors": "backslashreplace"} if suffix == "csv" else {}
    tables = [read(file, **options) for file in (whole, out)]  # type: ignore[operator]
    pd.testing.assert_frame_equal(*tables, atol=2e-6)
    listed = rows((tmp_path / f"out.{suffix}.unreadable.csv").read_text())
    assert listed == [{"path": str(images / "0/bad.png"), "reason": "not an image"}]
    assert "is finished" in run(*words, "--resume")[2]
    assert "made with other settings (prior)" in refused(*words, "--resume", "--prior", "train")


def test_a_temperature_fitted_in_between_is_another_setting(
    run: Run, refused: Refused, own: Path, few: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    partial = tmp_path / "out.csv.partial"
    assert run("predict", own, few, "-o", out)[0] == 0
    settings = {"top_k": 1, "abstain_below": None, "prior": None, "sources": "", "weights": "older"}
    partial.write_text(json.dumps({"settings": settings}) + "\n")
    assert "(sources, weights)" in refused("predict", own, few, "-o", out, "--resume")
    assert "-o FILE" in refused("predict", own, few, "--resume")


def test_more_classes_than_there_are_are_cut_with_a_line(run: Run, finished: Path, digits: Path) -> None:
    code, out, err = run("predict", finished, next(digits.rglob("*.png")), "--top-k", 99)
    assert code == 0
    assert "all 10 are named" in err
    assert "label_10" in out
    assert "label_11" not in out
