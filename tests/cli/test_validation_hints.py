"""Where validation images are missed, and how few scores rest on, is said."""

import json
from collections.abc import Callable
from pathlib import Path

from photos import make_photos

from longtail.report import report_lines, result_lines
from longtail.runs import Run

Command = Callable[..., tuple[int, str, str]]
SET = ("model.num_experts=1", "model.name=resnet8", "data.image_size=8", "data.augment=[]")
SHORT = ("--method", "cross_entropy", "--epochs", "1", *(w for s in SET for w in ("--set", s)))


def test_a_test_part_alone(run: Command, tmp_path: Path) -> None:
    photos = make_photos(
        tmp_path / "my photos", {"train": {"fox": 10, "owl": 10}, "test": {"fox": 12, "owl": 3}}
    )
    code, out, err = run("train", photos, *SHORT, "--out", tmp_path / "run")
    assert code == 0
    assert "data.validation=0.1" in err
    assert f"longtail data split '{photos}' -o splits.csv --again --val 0.1" in err
    assert "15 test images (1 class with fewer than 10, the fewest 3 of owl)" in out
    assert "data.validation=0.1" in run("data", "check", photos)[1]
    _, _, err = run("train", photos, *SHORT, "--set", "data.validation=0.2", "--out", tmp_path / "held")
    assert "data.validation=0.1" not in err
    assert json.loads((tmp_path / "held/status.json").read_text())["status"] == "done"
    for name, expected in (("run", True), ("held", False)):
        assert run("report", tmp_path / name)[0] == 0
        page = (tmp_path / name / "report.html").read_text()
        assert ("to hold out images of each class" in page) is expected


def test_validation_images_beside_their_score(run: Command, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"": {"fox": 60, "owl": 10}})
    assert run("train", photos, *SHORT, "--out", tmp_path / "run")[0] == 0
    said = "14 validation images (1 class with fewer than 10, the fewest 2 of owl)"
    assert said in "\n".join(result_lines(Run(tmp_path / "run")))
    assert said in "\n".join(report_lines(Run(tmp_path / "run")))
