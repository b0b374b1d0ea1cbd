"""Experts for nested sets of classes, ResLT and ACE, against loops written from their formulas."""

import math
from typing import Any

import pytest
import torch

from longtail.method import Method
from longtail.methods import find
from longtail.models import ModelOptions, build_model
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
SETS = [{0, 1, 2, 3, 4}, {2, 3, 4}, {3}]  # by count: 50, 20 | 7, 3 | 1
NOW = Progress("train", 0, 200, 0, 0, 0)
TARGET = torch.tensor([0, 1, 2, 3, 4, 1, 2])
LOGITS = 2 * torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
OUTPUT = ModelOutput(torch.zeros(3, 7, 4), LOGITS)


def build(name: str, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, 3, 4)


def batch(target: torch.Tensor = TARGET) -> Batch:
    return Batch(torch.zeros(len(target), 3, 4, 4), target, torch.arange(len(target)))


def surprise(logits: list[float], y: int, classes: set[int]) -> float:
    return -math.log(math.exp(logits[y]) / sum(math.exp(logits[c]) for c in classes))


@pytest.mark.parametrize("beta", [0.995, 0.6])
def test_reslt_counts_each_image_once_for_each_branch_that_sees_it(beta: float) -> None:
    own, images = 0.0, 0
    for m, classes in enumerate(SETS):
        for b, y in enumerate(TARGET.tolist()):
            if y in classes:
                own, images = own + surprise(LOGITS[m, b].tolist(), y, SETS[0]), images + 1
    summed = LOGITS.sum(0)
    fused = sum(surprise(summed[b].tolist(), y, SETS[0]) for b, y in enumerate(TARGET.tolist())) / 7
    method = build("reslt", beta=beta)
    terms = {name: term.item() for name, term in method.loss(OUTPUT, batch(), NOW).items()}
    assert terms == pytest.approx({"branches": beta * own / images, "fused": (1 - beta) * fused}, rel=1e-5)
    torch.testing.assert_close(method.logits(OUTPUT), summed)


def test_reslt_looks_at_counts_and_not_at_the_order_of_the_classes() -> None:
    assert [set(row.nonzero()[:, 0].tolist()) for row in build("reslt").seen] == SETS
    even = find("reslt")(find("reslt").Options(name="reslt"), torch.tensor([5] * 100), 3, 4)
    assert even.seen.sum(1).tolist() == [100, 65, 30]


@pytest.mark.parametrize(
    "target", [TARGET, torch.tensor([1, 0, 1])], ids=["all", "none of the smaller classes"]
)
def test_ace_teaches_an_expert_its_own_classes_and_silence_about_others(target: torch.Tensor) -> None:
    entropy = suppression = 0.0
    for m, classes in enumerate(SETS):
        share = sum(COUNTS[c].item() for c in classes) / 81
        rows = [(LOGITS[m, b].tolist(), y) for b, y in enumerate(target.tolist()) if y in classes]
        for row, y in rows:
            entropy += share * surprise(row, y, classes) / len(rows)
            silent = [row[c] ** 2 for c in SETS[0] - classes]
            suppression += share * 0.5 * sum(silent) / max(1, len(silent)) / len(rows)
    output = ModelOutput(torch.zeros(3, len(target), 4), LOGITS[:, : len(target)])
    terms = build("ace", suppression_weight=0.5).loss(output, batch(target), NOW)
    expected = {"cross_entropy": entropy, "suppression": suppression}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_ace_predicts_a_class_by_the_experts_that_own_it_at_the_scale_of_the_first() -> None:
    method = build("ace")
    torch.manual_seed(0)
    network = ModelOptions(name="resnet20", num_experts=3, head="linear", detach_trunk=(False, True, True))
    model = build_model(network, 5, ("first",))
    for call in (
        method.start,
        lambda model: method.after_step(model, NOW),
        lambda model: method.finalize(model, None),
    ):
        with torch.no_grad():
            model.heads["first"].weight.mul_(torch.rand(3, 5, 1) + 0.5)
        call(model)
        rows = model.heads["first"].weight.norm(dim=2)
        scale = [
            (sum(rows[0, c] for c in classes) / sum(rows[m, c] for c in classes)).item()
            for m, classes in enumerate(SETS)
        ]
        found = method.logits(OUTPUT)
        for c in range(5):
            owners = [m for m, classes in enumerate(SETS) if c in classes]
            expected = sum(scale[m] * LOGITS[m, :, c] for m in owners) / len(owners)
            torch.testing.assert_close(found[:, c], expected)
    assert "scale" in method.state_dict()
