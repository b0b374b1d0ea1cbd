"""A run folder of the first form, which says no version and lacks what came later, is read and predicted from.

It is made of one of today: `first_form` takes away what the first form did not have.
"""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

import longtail
from longtail.models import build_model
from longtail.recipe import load_recipe
from longtail.report import report_lines
from longtail.runs import Run, RunFolder, layout
from run_factory import made_up_run

LATER = {  # keys that the first form did without
    layout.STATUS: {"format_version"},
    layout.ENVIRONMENT: {"device_name", "cpu_count", "threads", "processes", "cpu_capability", "system"},
    layout.metrics("test"): {"unreadable"},
}


def first_form(run: Path) -> Path:
    """Take away from a run what the first form did not have; weights get a description alone."""
    for name, keys in LATER.items():
        content = json.loads((run / name).read_text("utf-8"))
        (run / name).write_text(json.dumps({key: content[key] for key in content.keys() - keys}), "utf-8")
    (run / layout.AUDIT).unlink()
    recipe, _ = load_recipe(str(run / layout.RECIPE))
    classes = [row["name"] for row in RunFolder(run).classes()]
    bank = recipe.stages()[-1].bank
    about = {
        "model": recipe.model.model_dump(mode="json"), "bank": bank, "classes": classes, "image_size": 32,
        "mean": [0.5] * 3, "std": [0.25] * 3, "temperature": 1.0, "epoch": 4,
    }  # fmt: skip
    torch.manual_seed(0)
    tensors = build_model(recipe.model, len(classes), (bank,)).state_dict()
    safetensors.torch.save_file(tensors, run / layout.WEIGHTS, metadata={"longtail": json.dumps(about)})
    return run


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = made_up_run(
        tmp_path_factory.mktemp("old") / "run", experts=1, audit={}, overrides={"model.name": "resnet8"}
    )
    return first_form(made)


def test_it_is_read_and_reported(old: Path) -> None:
    run = Run(old)
    assert run.finished
    assert len(run.classes) == 10
    assert run.metrics is not None
    assert run.predictions is not None
    said = "\n".join(report_lines(run))
    assert all(part in said for part in ("overall", "class 9"))


def test_its_classifier_predicts(old: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 32), (200, 30, 30)).save(tmp_path / "a.png")
    table = longtail.load(old).predict(tmp_path)
    assert table["label"].isin([f"class {c}" for c in range(10)]).all()
    assert len(table) == 1
