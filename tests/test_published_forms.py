"""The released form of ICL against facts known of it: its learning rate epoch by epoch, its augmentation, its gates."""

import math

import pytest
import torch
from torch import nn

from longtail.augment.policies import CIFAR10_POLICY, Operation
from longtail.augment.sampling import autoaugment
from longtail.engine.schedule import stage_rate
from longtail.methods import find
from longtail.models import build_model
from longtail.recipe import Recipe, load_recipe
from longtail.types import Progress

STEPS = 85  # of an epoch of CIFAR-100-LT with imbalance factor 100


def form(name: str) -> Recipe:
    return load_recipe(f"icl-cifar100-lt{name}")[0]


def rates(recipe: Recipe) -> list[list[float]]:
    """By stage, the rates of each epoch, all equal within it."""
    stages = find("icl").stages(recipe.method, recipe.optim.epochs)
    made = []
    for position, stage in enumerate(stages):
        rate = stage_rate(stage, recipe.optim, STEPS, first=position == 0)
        each = [{rate(epoch * STEPS + step) for step in range(STEPS)} for epoch in range(stage.epochs)]
        assert all(len(values) == 1 for values in each)
        made.append([values.pop() for values in each])
    return made


def test_rates_of_the_released_form() -> None:
    feature, classifier = rates(form("-released"))
    assert (len(feature), len(classifier)) == (180, 20)
    assert feature[:6] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.125, 0.15])
    assert feature[5:] == pytest.approx([0.075 * (1 + math.cos(math.pi * n / 175)) for n in range(175)])
    assert classifier[:6] == pytest.approx([0.1625, 0.15, 0.1375, 0.125, 0.1125, 0.1])
    assert sum(classifier) == pytest.approx(1.49, abs=0.005)


def test_the_printed_form_says_what_the_paper_says() -> None:
    printed = form("-printed")
    assert (printed.optim.peak_lr, printed.optim.warmup_epochs, printed.model.gates) == (0.05, 0, False)
    assert {printed.model.head, printed.model.fresh_head} == {"linear"}  # cosine heads are not in the paper


def test_windows_of_the_released_form() -> None:
    released = form("-released")
    method = find("icl")(released.method, torch.tensor([9, 3]), 3, 4)
    at = {epoch: method.phase(_progress(epoch)) for epoch in (30, 31, 119, 120)}
    assert [at[30][1], at[31][1]] == [True, False]  # diversity up to epoch 30, that epoch included
    assert [at[119][2:], at[120][2:]] == [(False, False), (True, True)]  # statistics begin with the contrast


def _progress(epoch: int) -> Progress:
    return Progress("feature", epoch, 180, epoch, epoch * STEPS, seed=0)


def test_augmentation_of_the_released_form() -> None:
    data = form("-released").data
    assert data.augment == ("crop", "flip", "autoaugment_port", "cutout")
    assert (data.crop_padding, data.cutout_size) == (4, 16)
    ported, paper = (_reached(ported) for ported in (True, False))
    assert all(value >= 0 for value in ported["rotate"])
    assert {-value for value in paper["rotate"]} == paper["rotate"]
    assert ported.keys() >= {"shear_x_bicubic", "shear_y_bicubic"} - _absent()
    assert not {"shear_x", "shear_y"} & ported.keys()
    unchanged = ported.keys() - {"rotate", "shear_x_bicubic", "shear_y_bicubic"}
    assert all(ported[name] == paper[name] for name in unchanged)


def _reached(ported: bool) -> dict[str, set[float]]:
    """Operation -> the values that can come."""
    reached: dict[str, set[float]] = {}
    policy = autoaugment(5, ported=ported)
    rows = {int(row) for step in policy.steps for row in step.row.flatten()}
    for operation in (policy.operations[row] for row in rows):
        assert isinstance(operation, Operation)
        reached.setdefault(operation.name, set()).add(operation.value)
    return reached


def _absent() -> set[str]:
    listed = {choice.name for pair in CIFAR10_POLICY for choice in pair}
    return {f"{name}_bicubic" for name in ("shear_x", "shear_y") if name not in listed}


def test_gates_of_the_released_form_begin_smaller() -> None:
    def size(name: str) -> float:
        torch.manual_seed(0)
        network = build_model(form(name).model, 10, ("feature", "classifier"))
        weights = [
            layer.weight.detach().std() for layer in network.gates.modules() if isinstance(layer, nn.Conv2d)
        ]
        return float(torch.stack(weights).log().mean().exp())

    assert size("") / size("-released") == pytest.approx(2.4, abs=0.1)
