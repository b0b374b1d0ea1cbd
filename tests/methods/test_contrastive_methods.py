"""Methods that contrast projected views, against loops written from the formulas."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from longtail.method import Method, Stage
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
C, D, B = 5, 4, 6
TARGET = torch.tensor([0, 1, 0, 4, 2, 0])
NOW = Progress("train", 0, 200, 0, 0, 0)


def build(name: str, num_experts: int = 2, **options: Any) -> Method:
    torch.manual_seed(0)
    return find(name)(find(name).Options(name=name, **options), COUNTS, num_experts, D).double()


def example(views: int, num_experts: int = 2) -> tuple[ModelOutput, Batch]:
    generator = torch.Generator().manual_seed(1)
    sizes = (views * B, D), (views * B, C), (C, D)
    made = [torch.randn(num_experts, *size, dtype=torch.float64, generator=generator) for size in sizes]
    batch = Batch(torch.zeros(views * B, 3, 4, 4), TARGET, torch.arange(B), keys=torch.tensor([3, 4]))
    return ModelOutput(made[0], made[1], {"classifier": made[2], "scale": torch.tensor(1.0)}), batch


def network(projection: nn.Module, rows: Tensor, expert: int, norm: bool) -> Tensor:
    """The projection of one expert by PyTorch's layers, its result of length 1."""
    first, second = projection.weights
    hidden = nn.functional.linear(rows, first[expert], projection.biases[0][expert, 0])
    if norm:
        scale, shift = projection.scales[0][expert, 0], projection.shifts[0][expert, 0]
        hidden = nn.functional.batch_norm(hidden, None, None, scale, shift, training=True)
    result = nn.functional.linear(hidden.relu(), second[expert], projection.biases[1][expert, 0])
    return nn.functional.normalize(result, dim=-1).detach()


def cross_entropy(logits: Tensor, target: Tensor) -> float:
    rows = zip(logits.tolist(), target.tolist(), strict=True)
    return sum(math.log(sum(map(math.exp, z))) - z[y] for z, y in rows) / len(target)


def test_bcl_is_its_two_terms() -> None:
    method = build("bcl", hidden=7, projection=3, temperature=0.5)
    output, batch = example(3)
    terms = method.loss(output, batch, NOW)
    adjusted, contrast = 0.0, 0.0
    for m in range(2):
        adjusted += cross_entropy(output.logits[m, :B] + COUNTS.log(), TARGET)
        views = network(method.projection, output.features[m, B:], m, norm=True)
        centres = network(method.centres, output.aux["classifier"][m], m, norm=True)
        keys, labels = torch.cat((views, centres)), [*TARGET.tolist(), *TARGET.tolist(), *range(C)]
        for i in range(2 * B):
            others = [k for k in range(len(keys)) if k != i]
            score = {k: math.exp(float(keys[i] @ keys[k]) / 0.5) for k in others}
            size = {k: sum(labels[j] == labels[k] for j in others) for k in others}
            total = sum(score[k] / size[k] for k in others)
            positives = [k for k in others if labels[k] == labels[i]]
            contrast -= sum(math.log(score[k] / total) for k in positives) / len(positives) / (2 * B)
    assert terms["logit_adjustment"].item() == pytest.approx(2 * adjusted)
    assert terms["contrastive"].item() == pytest.approx(0.6 * contrast)


def test_bcl_trains_the_classifier_by_its_centres_too() -> None:
    output, batch = example(3)
    output.aux["classifier"].requires_grad_()
    build("bcl").loss(output, batch, NOW)["contrastive"].backward()
    assert output.aux["classifier"].grad.abs().sum() > 0


@pytest.mark.parametrize("anchors_as_keys", [True, False])
def test_paco_shares_one_softmax_between_classes_and_keys(anchors_as_keys: bool) -> None:
    method = build(
        "paco", projection=3, queue=30, key_weight=0.2, temperature=0.5, anchors_as_keys=anchors_as_keys
    )
    output, batch = example(2)
    taught = torch.randn(2, 2 * B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    batch = replace(batch, aux={"teacher_features": taught})
    method.observe(output, batch, NOW)
    method.observe(output, batch, NOW)  # 24 of 30 keys are there
    expected = 0.0
    for m in range(2):
        own = network(method.projection, output.features[m], m, norm=False)
        slow = network(method.projection, taught[m], m, norm=False)
        keys = torch.cat((own, slow, slow) if anchors_as_keys else (slow, slow))
        labels = TARGET.repeat(len(keys) // B).tolist()
        for i, y in enumerate(TARGET.repeat(2).tolist()):
            prior = [math.log(n / 81) for n in COUNTS.tolist()]
            terms = [math.exp(z + p) for z, p in zip(output.logits[m, i].tolist(), prior, strict=True)]
            there = [k for k in range(len(keys)) if not (anchors_as_keys and k == i)]
            score = {k: math.exp(float(own[i] @ keys[k]) / 0.5) for k in there}
            total = sum(terms) + sum(score.values())
            positive = [math.log(score[k] / total) for k in there if labels[k] == y]
            said = math.log(terms[y] / total) + 0.2 * sum(positive)
            expected -= said / (1 + 0.2 * len(positive)) / (2 * B)
    (term,) = method.loss(output, batch, NOW).values()
    assert term.item() == pytest.approx(expected)


def test_paco_follows_the_network_slowly() -> None:
    method, model = build("paco", decay=0.75), nn.Linear(2, 2).double()
    method.start(model)
    assert method.teacher.training
    assert not any(
        p.requires_grad for p in [*method.teacher.parameters(), *method.key_projection.parameters()]
    )
    with torch.no_grad():
        before = model.bias.clone(), method.projection.biases[0].clone()
        model.bias.add_(4)
        method.projection.biases[0].add_(4)
        method.after_step(model, NOW)
    torch.testing.assert_close(method.teacher.bias, before[0] + 1)
    torch.testing.assert_close(method.key_projection.biases[0], before[1] + 1)


@pytest.mark.parametrize("name", ["bcl", "paco"])
def test_predictions_are_the_bare_logits_and_stand_for_balanced_classes(name: str) -> None:
    method, output = build(name), example(1)[0]
    torch.testing.assert_close(method.logits(output), output.logits.mean(0))
    torch.testing.assert_close(
        method.assumed_log_prior(Stage("train", 1)), torch.zeros(C, dtype=torch.float64)
    )
