"""A training step waits for nothing once its images are augmented: with fake tensors, whatever reads a value or has a
shape that hangs on one fails. What passes can be captured as a graph."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from longtail.engine.objective import Objective
from longtail.engine.runtime import start_runtime
from longtail.engine.step import freeze
from longtail.methods.icl import ICL
from longtail.models import build_model
from longtail.recipe import load_recipe
from longtail.types import Batch, ModelOutput, Progress

PHASES = {"diversity": 0, "plain": 60, "contrastive": 120, "classifier": 180}
ROWS = 8


def step(name: str, epoch: int) -> Mapping[str, Tensor]:
    """One step of a shipped recipe, from augmented images to moved weights, without a value in any tensor."""
    recipe, _ = load_recipe(name, {"model.name": "resnet8"})  # of the same blocks as the recipe's, and fewer
    stages = recipe.stages()
    stage, first = (stages[0], 0) if epoch < stages[0].epochs else (stages[1], stages[0].epochs)
    runtime = start_runtime("cpu", "fp32")
    with FakeTensorMode():
        model = build_model(recipe.model, 100, tuple(stage.bank for stage in stages))
        method = recipe.build_method(torch.ones(100, dtype=torch.int64), model.feature_dim)
        freeze(model, stage)
        trained: list[nn.Parameter] = [p for p in model.parameters() if p.requires_grad]
        optimizer = runtime.prepare_optimizer(torch.optim.SGD(trained, lr=0.1, momentum=0.9))
        index = torch.zeros(ROWS, dtype=torch.int64)
        batch = Batch(torch.zeros(ROWS, 3, 32, 32), index, index)
        progress = Progress(stage.name, epoch - first, stage.epochs, epoch, 0, 0)
        outcome = Objective(model, method, runtime.autocast)(batch, stage.bank, progress)
        runtime.backward(outcome.total)
        optimizer.step()
        return outcome.terms


@pytest.mark.parametrize("form", ["", "-printed", "-released"])
@pytest.mark.parametrize("phase", list(PHASES))
def test_a_step_reads_no_value(form: str, phase: str) -> None:
    terms = step(f"icl-cifar100-lt{form}", PHASES[phase])
    expected = {"plain": "parallel", "classifier": "logit_adjustment"}.get(phase, phase)
    assert expected in terms


def test_reading_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = ICL.loss

    def reading(self: ICL, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
        return loss(self, output, batch, progress) | {"x": output.logits.sum() * batch.target.max().item()}

    monkeypatch.setattr(ICL, "loss", reading)
    with pytest.raises(DataDependentOutputException):
        step("icl-cifar100-lt", 0)
