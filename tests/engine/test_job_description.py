"""What a run folder says of its images before the first step."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from longtail.engine.display import Display
from longtail.engine.job import build_job, describe_job
from longtail.recipe import load_recipe
from longtail.runs.folder import RunFolder
from longtail.types import InputError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twelve images of two classes; lesion-0 lies in train and in test, one image has no group."""
    rows = []
    for row in range(12):
        name = f"{row}.png"
        Image.new("RGB", (8, 8), (20 * row, 0, 0)).save(tmp_path / name)
        group = "" if row == 5 else f"lesion-{row % 4 if row != 4 else 9}"
        rows.append((name, "ab"[row % 2], "test" if row >= 10 else "train", group))
    rows[11] = (*rows[11][:3], "lesion-0")
    file = tmp_path / "photos.csv"
    pd.DataFrame(rows, columns=["path", "label", "split", "group"]).to_csv(file, index=False)
    return file


def described(table: Path, **given: object) -> Path:
    options = {"data.path": str(table), "data.image_size": 8, "model.name": "resnet8"} | given
    recipe, _ = load_recipe("icl-images", {"data.name": "table", **options})
    folder = RunFolder(table.parent / "run")
    folder.create()
    describe_job(build_job(recipe, folder, Display(1, quiet=True)))
    return folder.path


def test_groups_of_the_source_are_written_and_leaks_are_reported(table: Path) -> None:
    run = described(table)
    splits = pd.read_csv(run / "splits.csv", keep_default_na=False).set_index("path")
    source = pd.read_csv(table, keep_default_na=False).set_index("path").loc[splits.index]
    assert list(splits.columns) == ["class", "split", "group", "content"]
    assert splits["group"].tolist() == source["group"].tolist()
    assert splits.loc["5.png", "group"] == ""
    leaks = json.loads((run / "audit.json").read_text())["leaking_groups"]
    assert leaks[0] == {"group": "lesion-0", "splits": ["train", "test"], "images": 3}


def test_groups_follow_images_that_are_held_out(table: Path) -> None:
    run = described(table, **{"data.validation": 0.3})
    splits = pd.read_csv(run / "splits.csv", keep_default_na=False)
    source = pd.read_csv(table, keep_default_na=False).set_index("path")["group"]
    assert set(splits["split"]) == {"train", "val", "test"}
    assert splits["group"].tolist() == source.loc[splits["path"]].tolist()


def test_a_source_without_groups_has_no_such_column(table: Path) -> None:
    pd.read_csv(table).drop(columns="group").to_csv(table, index=False)
    run = described(table)
    assert list(pd.read_csv(run / "splits.csv").columns) == ["path", "class", "split", "content"]


def test_runs_inside_a_folder_are_named(tmp_path: Path) -> None:
    for seed in (0, 1):
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}/status.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds runs; give one of them: \S*seed-0, \S*seed-1$"):
        RunFolder(tmp_path).status()
