import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from longtail.report import comparison_lines
from longtail.runs import Run
from run_factory import made_up_run

SAID = re.compile(r"^(\S+) - (\S+): macro ([+-][\d.]+) \(([+-][\d.]+) to ([+-][\d.]+), 95 %\), ([a-z ]+);")


def differences(*runs: Path) -> list[re.Match[str]]:
    return [found for line in comparison_lines([Run(run) for run in runs]) if (found := SAID.match(line))]


def recall(run: Path) -> float:
    table = pd.read_csv(run / "eval/test/per_class.csv")
    return 100 * float((table["correct"] / table["test_images"]).mean())


def test_the_difference_is_that_of_the_scores_whatever_the_order_of_the_images(tmp_path: Path) -> None:
    one, other = made_up_run(tmp_path / "one", seed=1), made_up_run(tmp_path / "other", seed=2)
    file = other / "eval/test/predictions.parquet"
    table = pd.read_parquet(file)
    table.iloc[np.random.default_rng(0).permutation(len(table))].to_parquet(file, index=False)
    (found,) = differences(one, other)
    value, low, high = (float(found[place]) for place in (3, 4, 5))
    assert (found[1], found[2]) == ("other", "one")
    assert abs(value - (recall(other) - recall(one))) < 0.06
    assert low < value < high
    assert found[6] == ("better" if low > 0 else "worse" if high < 0 else "within chance")


def test_a_run_does_not_differ_from_its_copy(tmp_path: Path) -> None:
    one = made_up_run(tmp_path / "one")
    (found,) = differences(one, Path(shutil.copytree(one, tmp_path / "copy")))
    assert float(found[3]) == 0
    assert float(found[4]) < 0 < float(found[5])


def test_other_images_are_not_paired(tmp_path: Path) -> None:
    one = made_up_run(tmp_path / "one")
    other = Path(shutil.copytree(one, tmp_path / "other"))
    file = other / "eval/test/predictions.parquet"
    table = pd.read_parquet(file)
    table["path"] = "elsewhere/" + table["path"].astype(str)
    table.to_parquet(file, index=False)
    assert not differences(one, other)


def test_other_training_images_and_groups_are_said(tmp_path: Path) -> None:
    one = made_up_run(tmp_path / "one")
    other = Path(shutil.copytree(one, tmp_path / "other"))
    (other / "splits.csv").unlink(missing_ok=True)
    classes = json.loads((other / "classes.json").read_text())
    classes[0] |= {"count": classes[0]["count"] - 1}
    moved = next(entry for entry in classes if entry["group"] == "medium")
    moved["group"] = "few"
    (other / "classes.json").write_text(json.dumps(classes))
    scores = pd.read_csv(other / "eval/test/per_class.csv", dtype=str)
    scores.loc[scores["class"] == moved["name"], "group"] = "few"
    scores.loc[scores["class"] == classes[0]["name"], "train_images"] = str(classes[0]["count"])
    scores.to_csv(other / "eval/test/per_class.csv", index=False)
    doubts = [
        line
        for line in comparison_lines([Run(one), Run(other)])
        if line.startswith("other ") and "macro" not in line
    ]
    trained = sum(entry["count"] for entry in classes)
    assert any(f"{trained:,}" in line and f"{trained + 1:,}" in line for line in doubts)
    assert any("groups" in line for line in doubts)
