"""What a newer longtail wrote is refused in one line; what says no version is of the first."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from longtail.cli.main import main
from longtail.engine import weights_file
from longtail.errors import InputError
from longtail.predict.weights import read_tensors
from longtail.runs import Run, layout
from longtail.runs.folder import RunFolder
from run_factory import made_up_run

NEWER = {"format_version": 1000, "stages": ["of another form"]}


def _rewrite(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value), "utf-8")


def test_a_run_of_a_newer_form_is_refused_before_its_form_is_checked(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run")
    _rewrite(run / layout.STATUS, NEWER)
    for read in (Run, lambda path: RunFolder(path).status()):
        with pytest.raises(InputError, match=r"1000.*up to 1;.*update") as refused:
            read(run)
        assert "\n" not in str(refused.value)


def test_it_is_not_continued_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_up_run(tmp_path / "run", status="interrupted")
    _rewrite(run / layout.STATUS, NEWER)
    (run / layout.RECIPE).write_text("[another]\nform = 1\n")
    assert main(["train", str(run), "--resume"]) == 2
    assert "format_version 1000" in capsys.readouterr().err


def test_a_run_that_says_no_version_is_of_the_first(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run")
    _rewrite(run / layout.STATUS, {"status": "done", "epoch": 4, "epochs": 4})
    assert Run(run).finished


def test_what_is_written_says_its_version(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.set_status("running", epoch=0, epochs=4)
    assert json.loads((tmp_path / layout.STATUS).read_text())["format_version"] == layout.FORMAT_VERSION


@pytest.mark.parametrize(("version", "refused"), [(None, False), (1, False), (1000, True)])
def test_weights_have_a_version_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int | None, refused: bool
) -> None:
    about = {
        "classes": ["ant", "bee"], "image_size": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "temperature": 1.0,
        "epoch": 1, "model": {"name": "resnet8", "num_experts": 1}, "bank": "main",
    }  # fmt: skip
    monkeypatch.setattr(weights_file, "WEIGHTS_VERSION", version)
    if version is None:
        monkeypatch.setattr(weights_file, "VERSION", "nothing")
    file = tmp_path / "last.safetensors"
    file.write_bytes(weights_file.pack_weights({"a": torch.ones(2)}, about))
    if not refused:
        assert read_tensors(file, "restore it")[1].keys() == {"a"}
        return
    with pytest.raises(InputError, match=r"1000.*up to 1; update"):
        read_tensors(file, "restore it")
