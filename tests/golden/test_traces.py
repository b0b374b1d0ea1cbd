"""Losses of short runs, pinned: whatever alters a result alters these numbers.

The runs are in double precision. In fp32 the kernels of another CPU round differently, and a dozen steps multiply
that into the second digit; in fp64 what is left is far below TOLERANCE, relative, while a change of the method, the
order of images, the augmentation or the initial weights is far above it.
`LONGTAIL_UPDATE_GOLDEN=1` rewrites `traces.json`: do so only for a change that is meant to alter results, and say so in
the Numbers section of the change log.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from longtail.engine.train import fit
from longtail.recipe import validate

TOLERANCE = 1e-5
GOLDEN = Path(__file__).with_name("traces.json")
METHODS: dict[str, dict[str, Any]] = {
    "icl": {
        "competition": True, "parallel_factor": "num_experts",
        "distillation_form": "unordered_mean", "distillation_weight": 1.0, "distillation_temperature": 1.0,
        "distillation_detach_teacher": False, "diversity_form": "cosine_floored", "diversity_weight": 1.0,
        "diversity_stop": 1, "contrastive_weight": 1.0, "contrastive_start": 1, "contrastive_mode": "add",
        "similarity": "cosine", "negatives": "sum", "num_negatives": 3, "own_class": False, "temperature": 0.07,
        "confusion_decay": 0.1, "confusion_decay_every": "epoch", "prototype_decay": 0.9,
        "classifier_epochs": 1, "classifier_peak_lr": 0.1, "classifier_batch_norm": "train", "tau": 1.0,
    },
    "cross_entropy": {},
}  # fmt: skip


def trace(method: str, out: Path) -> list[dict[str, Any]]:
    """Each epoch's losses to seven significant digits."""
    recipe = {
        "data": {
            "name": "digits", "imbalance_factor": 4.0, "max_count": 20, "subset": "first",
            "augment": ["crop", "flip", "cutout"], "crop_padding": 1, "cutout_size": 2,
        },
        "model": {
            "name": "resnet20", "num_experts": 2, "shared_stages": 2, "gates": True, "head": "cosine",
            "cosine_scale": 16.0, "zero_init_residual": False,
        },
        "method": {"name": method} | METHODS[method],
        "optim": {
            "epochs": 3, "batch_size": 32, "peak_lr": 0.02, "warmup_epochs": 1, "warmup_start_lr": 0.01,
            "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4, "clip_norm": 0.0, "precision": "fp64",
        },
        "run": {"seed": 5, "device": "cpu"},
    }  # fmt: skip
    log = (fit(validate(recipe), str(out), quiet=True).path / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in log]
    return [
        {"stage": r["stage"], "loss": {name: float(f"{value:.7g}") for name, value in r["loss"].items()}}
        for r in records
    ]


@pytest.mark.parametrize("method", list(METHODS))
def test_losses_are_as_they_were(method: str, tmp_path: Path) -> None:
    found = trace(method, tmp_path / "run")
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("LONGTAIL_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(known | {method: found}, indent=2, sort_keys=True) + "\n")
        pytest.skip(f"{GOLDEN.name} was rewritten")
    assert [row["stage"] for row in found] == [row["stage"] for row in known[method]]
    for row, expected in zip(found, known[method], strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=TOLERANCE)
