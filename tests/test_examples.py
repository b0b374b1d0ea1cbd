"""The scripts in examples/ run, on short runs, and print what they promise."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

EXAMPLES = Path(__file__).parents[1] / "examples"


def script(name: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_own_folder(tmp_path: Path) -> None:
    result = script("own_folder.py", "--epochs", "2", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    commands = [line.split()[2] for line in result.stdout.splitlines() if line.startswith("$ longtail ")]
    assert commands == ["data", "data", "report", "export", "predict"]
    assert "Imbalance factor 22.5" in result.stdout
    assert "agrees with the run on 64 images" in result.stdout
    predictions = pd.read_csv(tmp_path / "runs/own-folder/predictions.csv")
    assert len(predictions) == 320
    assert set(predictions["label"]) <= {f"digit {n}" for n in range(10)}
    again = script("own_folder.py", folder=tmp_path)
    assert (again.returncode, "runs/own-folder exists; choose another --out" in again.stderr) == (2, True)


def test_compare_methods(tmp_path: Path) -> None:
    result = script("compare_methods.py", "--epochs", "2", "--seeds", "0,1", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    head, *rows = result.stdout.split("2 seeds\n")[1].splitlines()
    assert head.split() == ["macro", "many", "medium", "few"]
    names = ["cross_entropy", "balanced_softmax", "logit_adjustment", "icl"]
    assert [row.split()[0] for row in rows] == names
    assert all(row.count("+-") == 4 for row in rows)
    for name in names:
        assert (tmp_path / "runs/compare-methods" / name / "seed-1/eval/test/metrics.json").is_file()
