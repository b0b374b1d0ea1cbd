"""Commands that work with a finished run: evaluate, predict, report, compare."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from photos import make_photos

from few_digits import TESTED

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
PLOTS = ("plots/training.png", "plots/per_class.png")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_evaluate_repeats_what_training_found(run: Run, own: Path) -> None:
    before = json.loads((own / "eval/test/metrics.json").read_text())
    shutil.rmtree(own / "eval")
    code, out, _ = run("evaluate", own)
    after = json.loads((own / "eval/test/metrics.json").read_text())
    assert code == 0
    assert after == before
    assert f"{100 * after['overall']:.1f}" in out
    assert f"{10 * TESTED} images of test" in out


def test_evaluate_on_a_folder_gives_the_scores_of_the_named_set(run: Run, own: Path, digits: Path) -> None:
    code, _, _ = run("evaluate", own, "--data", digits)
    assert code == 0
    found = json.loads((own / "eval" / digits.name / "metrics.json").read_text())
    known = json.loads((own / "eval/test/metrics.json").read_text())
    for key in ("overall", "macro", "many", "medium", "few", "num_images"):
        assert found[key] == known[key]


def test_classes_that_differ_are_named_and_never_shifted(
    run: Run, refused: Refused, own: Path, digits: Path, tmp_path: Path
) -> None:
    other = tmp_path / "test"  # a name that the run's own evaluation has
    for name in ("3", "7"):
        shutil.copytree(digits / name, other / name)
    shutil.copytree(digits / "0", other / "00 zebra")
    own_scores = (own / "eval/test/metrics.json").read_text()
    code, out, _ = run("evaluate", own, "--data", other)
    assert code == 0
    assert "8 classes: 0, 1, 2, 4, 5, 6, 8, 9" in out
    assert f"1 class: 00 zebra ({TESTED})" in out
    assert (own / "eval/test/metrics.json").read_text() == own_scores
    per_class = {
        row["class"]: row for row in rows((own / f"eval/{tmp_path.name}-test/per_class.csv").read_text())
    }
    known = {row["class"]: row for row in rows((own / "eval/test/per_class.csv").read_text())}
    assert {name: per_class[name]["correct"] for name in "37"} == {
        name: known[name]["correct"] for name in "37"
    }
    assert per_class["0"]["test_images"] == "0"
    assert run("evaluate", own, "--data", other)[0] == 0
    assert not (own / "eval/test-3").exists()
    shutil.rmtree(own / "eval/test")
    assert run("evaluate", own, "--data", other)[0] == 0
    assert not (own / "eval/test").exists()
    assert "not clean" in refused("evaluate", own, "--data", other, "--strict", details=True)


def test_evaluate_refuses(refused: Refused, finished: Path, tmp_path: Path) -> None:
    assert "nowhere does not exist" in refused("evaluate", finished, "--data", "nowhere")
    strangers = make_photos(tmp_path / "strangers", {"": {"fox": 1, "owl": 1}})
    assert "name the classes alike" in refused("evaluate", finished, "--data", strangers)
    assert not (finished / "eval/strangers").exists()


def test_predict_writes_one_row_an_image(run: Run, finished: Path, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    code, printed, err = run("predict", finished, digits, "-o", out, "--top-k", 3)
    assert (code, printed) == (0, "")
    assert f"{10 * TESTED} predictions in {out}" in err
    table = rows(out.read_text())
    first = ["path", "label", "confidence", "agreement", "expert_1", "expert_2"]
    assert list(table[0]) == [*first, "label_2", "confidence_2", "label_3", "confidence_3"]
    assert [row["path"] for row in table] == [str(path) for path in sorted(digits.rglob("*.png"))]
    correct = sum(row["label"] == Path(row["path"]).parent.name for row in table)
    assert correct / (10 * TESTED) == json.loads((finished / "eval/test/metrics.json").read_text())["overall"]
    for row in table:
        assert float(row["confidence"]) >= float(row["confidence_2"]) >= float(row["confidence_3"])
        votes = [row["expert_1"], row["expert_2"]]
        assert float(row["agreement"]) == votes.count(row["label"]) / 2


def test_predict_without_a_file_prints_the_table(
    run: Run, finished: Path, digits: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = shutil.copy(digits / "0" / sorted((digits / "0").iterdir())[0].name, tmp_path / 'a "b", ü\nc.png')
    code, out, _ = run("predict", finished, odd)
    assert (code, [row["path"] for row in rows(out)]) == (0, [str(odd)])
    for listed, count in (
        (f"{odd}\0", 1),
        ("\n".join(str(path) for path in (digits / "4").iterdir()), TESTED),
    ):
        stream = io.TextIOWrapper(io.BytesIO(listed.encode()))
        monkeypatch.setattr("sys.stdin", stream)
        code, out, _ = run("predict", finished, "-")
        assert (code, len(rows(out))) == (0, count)


def test_a_printed_name_keeps_its_bytes(
    run: Run, finished: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, printed = os.fsencode(tmp_path) + b"/\xff.png", io.BytesIO()
    shutil.copy(next((digits / "0").iterdir()), odd)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding="utf-8", errors="strict"))
    code, _, err = run("predict", finished, os.fsdecode(odd))
    assert (code, odd in printed.getvalue()) == (0, True), err


def test_what_predict_cannot_read_has_an_empty_row_and_is_named(
    run: Run, refused: Refused, finished: Path, digits: Path, tmp_path: Path
) -> None:
    images, out = tmp_path / "images", tmp_path / "out.csv"
    shutil.copytree(digits / "2", images)
    (images / "bad.png").write_bytes(b"no image")
    damaged = sorted(images.glob("*.png"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-12])  # all but the end mark
    code, _, err = run("predict", finished, images, "-o", out)
    assert code == 1
    assert f"1 image damaged beside the pixels, used:\n  {damaged} (no end mark" in err
    assert f"1 of {TESTED + 1} images could not be read and has no prediction:" in err
    assert f"{TESTED} predictions in" in err
    assert str(images / "bad.png") in err
    before = out.read_text()
    assert [row["path"] for row in rows(before)] == sorted(map(str, images.iterdir()))
    assert {row["path"] for row in rows(before) if not row["confidence"]} == {str(images / "bad.png")}
    assert "--overwrite" in refused("predict", finished, images, "-o", out)
    strict = refused("predict", finished, images, "-o", out, "--overwrite", "--strict")
    assert f"1 image cannot be read: {images / 'bad.png'} (not an image)" in strict
    assert out.read_text() == before
    assert run("predict", finished, images / "bad.png", digits / "1", "-o", out, "--overwrite")[0] == 1
    assert [row["label"] == "" for row in rows(out.read_text())] == [True] + [False] * TESTED
    assert "cannot be read" in refused("predict", finished, images / "bad.png", "-o", tmp_path / "b.csv")
    left = {"images", "out.csv", ".out.csv.settings", "out.csv.unreadable.csv"}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert rows((tmp_path / "out.csv.unreadable.csv").read_text()) == [
        {"path": str(images / "bad.png"), "reason": "not an image"}
    ]


def test_a_folder_without_images_keeps_no_other_from_its_answer(
    run: Run, refused: Refused, finished: Path, digits: Path, tmp_path: Path
) -> None:
    empty, there, out = tmp_path / "empty", next((digits / "3").iterdir()), tmp_path / "out.csv"
    empty.mkdir()
    code, _, err = run("predict", finished, there, empty, "-o", out, "--strict")
    assert (code, f"{empty} (holds no images)" in err, out.exists()) == (2, True, False)
    code, _, err = run("predict", finished, there, empty, "-o", out)
    assert (code, f"{empty} (a folder" in err) == (1, True)
    assert [(row["path"], row["label"] == "") for row in rows(out.read_text())] == [
        (str(there), False),
        (str(empty), True),
    ]
    code, _, err = run("explain", finished, there, empty, "-o", tmp_path / "sheet.png")
    assert (code, f"{empty} (a folder" in err) == (1, True)


@pytest.fixture
def listed(run: Run, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Predict what a list on standard input names."""

    def listed(content: bytes, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        return run("predict", finished, "-", *words)

    return listed


def test_the_list_and_the_answers_are_of_one_length_and_order(
    listed: Run, digits: Path, tmp_path: Path
) -> None:
    first, second = sorted((digits / "3").iterdir())[:2]
    names = [
        f"{second}",
        "gone 1.png",
        f"{first}",
        f"{second}",
        "x" * 5000,
        f"{tmp_path}/./../{tmp_path.name}/no.png",
    ]
    code, out, err = listed("\n".join(names).encode())
    assert code == 1
    assert [row["path"] for row in rows(out)] == names
    assert [row["label"] == "" for row in rows(out)] == [False, True, False, False, True, True]
    assert rows(out)[0] == rows(out)[3]
    assert "3 of 6 images could not be read and have no prediction:" in err
    assert "gone 1.png (No such file or directory)" in err
    assert "1 source was given before and is answered each time" in err


def test_strict_names_all_that_is_missing_before_it_predicts(
    listed: Run, digits: Path, tmp_path: Path
) -> None:
    there = next((digits / "3").iterdir())
    code, out, err = listed(f"gone1.png\n{there}\ngone2.png\n".encode(), "--strict", "-o", tmp_path / "p.csv")
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])
    assert "gone1.png" in err
    assert "gone2.png" in err


def test_resuming_tries_again_what_could_not_be_read(
    run: Run, listed: Run, digits: Path, tmp_path: Path
) -> None:
    there, late, out = next((digits / "3").iterdir()), tmp_path / "late.png", tmp_path / "p.csv"
    late.write_bytes(b"")
    names = f"{late}\n{there}\n{late}\n{tmp_path}/bad.png\n{there}\n".encode()
    (tmp_path / "bad.png").touch()
    assert listed(names, "-o", out, "--strict")[0] == 2
    assert listed(names, "-o", out, "--strict", "--resume")[0] == 2
    shutil.copy(there, late)
    code, _, err = listed(names, "-o", out, "--resume")
    assert code == 1
    assert "resuming after 5 images" in err
    assert "1 of 5 images could not be read" in err
    found = rows(out.read_text())
    assert [row["path"] for row in found] == names.decode().split()
    assert [row["label"] == "" for row in found] == [False, False, False, True, False]
    assert found[0]["confidence"] == found[1]["confidence"]
    code, _, err = listed(names, "-o", out, "--resume")
    assert (code, "nothing to resume" in err) == (1, True)


def test_predict_refuses(refused: Refused, finished: Path, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "nowhere does not exist" in refused("predict", finished, "nowhere")
    assert "holds no images" in refused("predict", finished, tmp_path / "empty")
    assert "is not a file" in refused("predict", finished, digits, "-o", tmp_path)
    assert "neither .csv nor .parquet" in refused("predict", finished, digits, "-o", tmp_path / "out.xlsx")
    assert "no folder" in refused("predict", finished, digits, "-o", tmp_path / "missing/out.csv")
    assert "not a run folder" in refused("predict", digits, digits)


def test_predict_on_a_full_disk_keeps_what_there_is(
    run: Run, refused: Refused, finished: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    words = ("predict", finished, digits / "0", "-o", tmp_path / "out.csv")
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert "No space left" in refused(*words)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv.partial"]
    monkeypatch.setattr("longtail.predict.classifier.infer", lambda *_: iter(()))  # nothing is computed again
    assert run(*words, "--resume").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"out.csv", ".out.csv.settings"}
    assert len(rows((tmp_path / "out.csv").read_text())) == TESTED


def test_report_says_what_the_files_say(run: Run, own: Path) -> None:
    code, out, _ = run("report", own)
    assert code == 0
    for name in (
        "eval/test/metrics.json",
        "eval/test/per_class.csv",
        "plots/training.png",
        "plots/per_class.png",
    ):
        assert str(own / name) in out
        assert (own / name).is_file()
    assert "expert 2" in out
    assert "Most frequent confusions" in out


def test_compare_has_a_row_for_each_run(run: Run, finished: Path, own: Path) -> None:
    code, out, _ = run("compare", finished, own)
    assert code == 0
    *lines, difference = out.splitlines()
    table = [line.rsplit(maxsplit=6) for line in lines]
    assert [row[0].strip() for row in table] == ["accuracy, %", "digits run", "run"]
    assert table[1][1:] == table[2][1:]
    assert difference.startswith("run - digits run: macro +0.0")


@pytest.mark.parametrize("command", ["evaluate", "report", "compare"])
def test_what_is_no_run_is_refused(refused: Refused, command: str, tmp_path: Path) -> None:
    more = [tmp_path] if command == "compare" else []
    assert "nowhere does not exist" in refused(command, "nowhere", *more)
    assert "not a run folder" in refused(command, tmp_path, *more)
