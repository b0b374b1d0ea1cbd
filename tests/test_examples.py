"""The scripts in examples/ run, on short runs, and print what they promise."""

import importlib
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def _beside_the_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["own_folder.py", "--model", "resnet8", "--epochs", "2"])
    runpy.run_path(str(EXAMPLES / "own_folder.py"), run_name="__main__")
    out = capfd.readouterr().out
    commands = [line.split()[2] for line in out.splitlines() if line.startswith("$ longtail ")]
    assert commands == ["data", "data", "report", "export", "predict"]
    assert "Imbalance factor 22.5" in out
    assert "agrees with the run on 64 images" in out
    predictions = pd.read_csv(tmp_path / "runs/own-folder/predictions.csv")
    assert len(predictions) == 320
    assert set(predictions["label"]) <= {f"digit {n}" for n in range(10)}
    with pytest.raises(SystemExit) as again:
        runpy.run_path(str(EXAMPLES / "own_folder.py"), run_name="__main__")
    assert again.value.code == 2
    assert "runs/own-folder exists; choose another --out" in capfd.readouterr().err


def test_compare_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a smaller network on fewer images than the script has."""
    script = importlib.import_module("compare_methods")
    small = {"model.name": "resnet8", "data.max_count": 20, "data.many_above": 12, "data.few_below": 6}
    monkeypatch.setattr(script, "METHODS", {name: given | small for name, given in script.METHODS.items()})
    monkeypatch.setattr(sys, "argv", ["compare_methods.py", "--epochs", "2", "--seeds", "0,1"])
    script.main()
    head, *rows = capsys.readouterr().out.split("2 seeds\n")[1].splitlines()
    assert head.split() == ["macro", "many", "medium", "few"]
    names = ["cross_entropy", "balanced_softmax", "logit_adjustment", "icl"]
    assert [row.split()[0] for row in rows] == names
    for name in names:
        assert (tmp_path / "runs/compare-methods" / name / "seed-1/eval/test/metrics.json").is_file()
    assert all(row.count("+-") == 4 for row in rows)
