"""The report on made-up run folders: it reads the folder alone, whatever the classes are called."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from longtail.recipe import load_recipe
from longtail.report import chance_lines, comparison_lines, evaluation_lines, plot, report_lines
from longtail.report.sections.training import stage_edges
from longtail.report.style import name_ends, new_figure
from longtail.runs import Run, RunFolder, layout
from longtail.text_table import table_lines
from longtail.types import InputError
from run_factory import made_up_run

SCORES = {"overall": 0.5, "macro": 0.4, "many": None, "medium": 0.5, "few": 0.25}
ODD = ("007", "NA", "nan", "a$_$", "<img onerror>", "new\nline", "狼", "=1+1", "__proto__", "Löwe")


def write_run(
    path: Path,
    *,
    classes: int = 10,
    images: int = 20,
    epochs: int = 4,
    done: bool = True,
    names: tuple[str, ...] = (),
) -> Path:
    """A run folder as training leaves it, with made-up numbers; the last class is never predicted."""
    names = names or tuple(f"class {c}" for c in range(classes))
    status = "done" if done else "interrupted"
    made_up_run(path, names=names, images=0, epochs=epochs, status=status, evaluated=False)
    folder = RunFolder(path)
    folder.write_log(_record(epoch, epochs) for epoch in range(epochs if done else epochs // 2))
    if done:
        _write_evaluation(folder, images, epochs)
    return path


def _record(epoch: int, epochs: int) -> dict[str, Any]:
    stage = "feature" if epoch < epochs - 1 else "classifier"
    loss = {"parallel": 2.0 / (epoch + 1)} if stage == "feature" else {"logit_adjustment": 1.0}
    if epoch == 0:
        loss["diversity"] = -0.1
    record = {
        "epoch": epoch,
        "stage": stage,
        "lr": 0.1,
        "loss": loss,
        "train_accuracy": epoch / epochs,
        "seconds": 1.0,
    }
    return record | (
        {"test": SCORES | {"num_images": 200, "experts": [SCORES], "ece": 0.1, "nll": 1.0, "not_tested": []}}
        if epoch % 2
        else {}
    )


def _write_evaluation(folder: RunFolder, images: int, epochs: int) -> None:
    rows = folder.classes()
    columns = (
        "class",
        "group",
        "train_images",
        "test_images",
        "correct",
        "recall",
        "precision",
        "mistaken_for",
    )
    table, mistakes = [columns], []
    for row in rows:
        name, index = row["name"], row["index"]
        right = 0 if index == len(rows) - 1 else random.Random(index).randint(1, images) if images else 0
        recall, precision = (right / images if images else ""), (0.5 if right else "")
        table.append((name, row["group"], row["count"], images, right, recall, precision, rows[0]["name"]))
        mistakes.append((name, rows[index == 0]["name"], images - right))
    wrong = sorted((one for one in mistakes if one[2]), key=lambda one: -one[2])
    folder.write_csv(layout.evaluation("test", layout.PER_CLASS), table)
    folder.write_csv(layout.evaluation("test", layout.CONFUSIONS), [("class", "predicted", "images"), *wrong])
    more = {"split": "test", "epoch": epochs, "num_images": images * len(rows), "experts": [SCORES, SCORES]}
    more |= {"ece": 0.1, "nll": 1.0}
    left_out = {
        "not_tested": [rows[1]["name"]],
        "unknown_classes": {"zebra": 3},
        "unreadable": [{"path": "a.jpg", "reason": "empty"}, {"path": "b.jpg", "reason": "not an image"}],
    }
    folder.write_json(layout.metrics("test"), SCORES | more | left_out)


def test_the_report_of_a_finished_run(tmp_path: Path) -> None:
    text = "\n".join(report_lines(Run(write_run(tmp_path / "run"))))
    assert "all experts     50.0   40.0     -    50.0  25.0" in text
    assert "expert 2        50.0   40.0     -    50.0  25.0" in text
    assert "classes            9      9     3       3     3" in text
    assert "Never predicted\n  1 class: class 9" in text
    assert "class 9  class 0    20 of 20" in text
    assert "  1 class: class 1" in text
    assert "  1 class: zebra (3)" in text
    assert "Unreadable and skipped: 2" in text
    weakest = text.split("Weakest classes")[1].splitlines()[2].split()
    assert weakest == ["class", "9", "few", "5", "0", "of", "20", "0.0", "class", "0"]


def test_classes_are_counted_where_they_were_tested(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    file = run / "eval/test/metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"not_tested": ["class 9"]}))
    assert "classes            9      9     4       3     2" in "\n".join(report_lines(Run(run)))


def test_classes_with_few_test_images_have_no_percentage(tmp_path: Path) -> None:
    lines = report_lines(Run(write_run(tmp_path / "run", images=3)))
    weakest = lines[lines.index("Weakest classes") + 2]
    assert weakest.split("few")[1].split()[:4] == ["5", "0", "of", "3"]
    assert "too few to say" in weakest


def test_classes_with_few_test_images_come_last(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run", images=3))
    file = run.path / "eval/test/per_class.csv"
    lines = [line.split(",") for line in file.read_text().splitlines()]
    lines[2][3:6] = ["40", "10", "0.25"]
    file.write_text("\n".join(",".join(line) for line in lines))
    mistakes = run.path / "eval/test/confusions.csv"
    mistakes.write_text(mistakes.read_text().replace("class 1,class 0,2\n", "class 1,class 0,30\n"))
    metrics = json.loads((run.path / "eval/test/metrics.json").read_text())
    (run.path / "eval/test/metrics.json").write_text(json.dumps(metrics | {"num_images": 9 * 3 + 40}))
    text = report_lines(run)
    weakest = [line.split()[:2] for line in text[text.index("Weakest classes") + 2 :]]
    assert weakest.index(["class", "1"]) == 0 < weakest.index(["class", "9"])


@pytest.mark.parametrize(
    "made",
    [
        {"classes": 2, "epochs": 1},
        {"classes": 100, "images": 3, "epochs": 100},
        {"done": False},
        {"names": ODD},
        {"names": ODD, "images": 0},
    ],
    ids=str,
)
def test_plots_of_all_kinds_of_runs(tmp_path: Path, made: dict[str, Any]) -> None:
    run = Run(write_run(tmp_path / "run", **made))
    report_lines(run)
    drawn = plot(run)
    curves, classes = made.get("epochs") != 1, run.finished and made.get("images") != 0
    assert drawn == ["plots/training.png"] * curves + ["plots/per_class.png"] * classes
    for name in drawn:
        with Image.open(run.path / name) as image:
            assert image.width >= 1400
            assert len(image.convert("RGB").getcolors(2**24) or ()) > 10


def test_the_same_run_the_same_bytes(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run", epochs=1))
    first, second = ([(run.path / name).read_bytes() for name in plot(run)] for _ in range(2))
    assert first == second


def test_names_stay_text(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run", names=ODD))
    table = run.table("per_class")
    assert table is not None
    assert tuple(table["class"]) == ODD
    text = "\n".join(report_lines(run))
    assert "Löwe" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_an_unfinished_run_reports_what_there_is(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run", done=False))
    text = "\n".join(report_lines(run))
    assert "not finished (interrupted): 2 of 4 epochs" in text
    assert "after epoch 2" in text
    assert "50.0" in text
    (run.path / "log.jsonl").unlink()
    fresh = Run(run.path)
    assert "not evaluated yet" in "\n".join(report_lines(fresh))
    assert plot(fresh) == []


def test_comparison_names_what_cannot_be_compared(tmp_path: Path) -> None:
    runs = [
        Run(write_run(tmp_path / name, **made))
        for name, made in (
            ("a", {}),
            ("b", {}),
            ("c", {"classes": 3}),
            ("d", {"done": False}),
            ("e", {"images": 5}),
        )
    ]
    lines = comparison_lines(runs)
    assert [line.split()[0] for line in lines[:6]] == ["accuracy,", "a", "b", "c", "d", "e"]
    assert lines[1].split() == ["a", "50.0", "40.0", "-", "50.0", "25.0", "4"]
    assert [line.split()[0] for line in lines[6:]] == ["c", "d", "e"]
    assert "other classes" in lines[6]
    assert "not finished" in lines[7]
    assert "other images" in lines[8]
    twins = comparison_lines([runs[0], Run(write_run(tmp_path / "other" / "a"))])
    assert [str(tmp_path / "other" / "a") in line for line in twins] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "path", "called"),
    [
        ("table", "/me/birds.csv", "birds"),
        ("packed", "/me/birds", "birds"),
        ("cifar100", "/me/cifar", "cifar100"),
    ],
)
def test_data_of_ones_own_are_called_by_their_file(tmp_path: Path, name: str, path: str, called: str) -> None:
    run = write_run(tmp_path / "run")
    given = {"data.name": name, "data.path": path}
    (run / "recipe.toml").write_text(load_recipe("icl-images", given)[0].to_toml())
    assert str(Run(run)).endswith(f" on {called}")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not a run folder"):
        Run(tmp_path)


def test_evaluation_lines_name_their_files(tmp_path: Path) -> None:
    metrics = SCORES | {"split": "photos", "num_images": 1, "epoch": 3, "experts": [SCORES]}
    lines = evaluation_lines(metrics, tmp_path)
    assert lines[0] == "1 image of photos, weights after epoch 3"
    assert lines[-2:] == [str(tmp_path / "eval/photos" / name) for name in ("metrics.json", "per_class.csv")]


def test_wide_letters_stand_in_line() -> None:
    assert table_lines(("name", "n"), [("狼", "1"), ("fox", "10")]) == ["name   n", "狼     1", "fox   10"]


def test_names_at_line_ends_do_not_touch() -> None:
    axes = new_figure(3.0, 2.0).add_subplot()
    axes.set_ylim(0, 100)
    name_ends(
        axes,
        [(99.0, "a", "black"), (98.0, "b", "black"), (97.0, "c", "black"), (10.0, "d", "black")],
        room=9.0,
    )
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert heights[0] == 10
    assert all(after - before >= 9 for before, after in pairwise(heights))
    assert heights[-1] <= 100


def test_stage_edges() -> None:
    log = [_record(epoch, 4) for epoch in range(4)]
    assert stage_edges(log) == (3,)
    assert stage_edges(log[:2]) == ()


def test_few_images_are_not_printed_as_a_percentage_alone() -> None:
    table = pd.DataFrame(
        {"group": ["many", "many", "few"], "test_images": [60, 40, 5], "correct": [45, 30, 4]}
    )
    (line,) = chance_lines(table)
    assert "overall 66-83" in line
    assert "few 4 of 5 right, too few to say" in line
    assert "medium" not in line
    assert chance_lines(table.assign(test_images=0)) == []
    assert chance_lines(None) == []


def test_as_many_images_of_other_classes_are_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [Run(write_run(tmp_path / name)) for name in "ab"]
    images = {"a": [4, 6], "b": [4, 6]}
    monkeypatch.setattr(Run, "table", lambda run, _: pd.DataFrame({"test_images": images[run.path.name]}))
    assert not any("other images" in line for line in comparison_lines(runs))
    images["b"] = [5, 5]
    assert "b was tested on other images" in comparison_lines(runs)[-1]
