"""Tiny runs on the digits: 84 images, three steps an epoch, two epochs of features and two of classifiers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from longtail.methods.icl import ICL
from longtail.recipe import Recipe, load_recipe
from longtail.types import Batch, ModelOutput, Progress

STEPS, FEATURE_EPOCHS, EPOCHS = 3, 2, 4
TINY = {
    "data.max_count": 16, "data.imbalance_factor": 4.0, "data.many_above": 12, "data.few_below": 6,
    "model.name": "resnet8", "model.num_experts": 2, "model.head": "cosine",
    "method.diversity_stop": 1, "method.contrastive_start": 1, "method.classifier_epochs": 2,
    "optim.epochs": EPOCHS, "optim.batch_size": 32, "optim.peak_lr": 0.05, "optim.warmup_epochs": 1,
    "run.device": "cpu", "run.seed": 3,
}  # fmt: skip


def tiny(**changes: Any) -> Recipe:
    """The tiny recipe; `optim__epochs=1` changes `optim.epochs`."""
    given = TINY | {key.replace("__", "."): value for key, value in changes.items()}
    if changes.get("method__name", "icl") != "icl":
        given = {k: v for k, v in given.items() if k.replace(".", "__") in changes or "method." not in k}
        given["method.name"] = changes["method__name"]
    return load_recipe("icl-digits", given)[0]


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "state/last.pt", weights_only=True)
    return state


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Let a step of the next ICL run raise before it changes anything."""
    observe = ICL.observe

    def stopping(self: ICL, output: ModelOutput, batch: Batch, progress: Progress) -> None:
        if progress.step == step:
            raise error
        observe(self, output, batch, progress)

    monkeypatch.setattr(ICL, "observe", stopping)
