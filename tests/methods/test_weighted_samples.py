"""Methods that weigh images by how well they are classified or how rare their class is, against loops over them."""

import math
from typing import Any

import pytest
import torch

from longtail.method import Method
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
LOGITS = 2 * torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
FEATURES = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))
OUTPUT = ModelOutput(FEATURES, LOGITS)
TARGETS = [0, 1, 2, 3, 4, 0, 1, 2, 3]
BATCH = Batch(torch.zeros(9, 3, 4, 4), torch.tensor(TARGETS), torch.arange(9))


def at(epoch: int) -> Progress:
    return Progress("train", epoch, 200, epoch, 0, 0)


def build(name: str, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def total(method: Method, epoch: int = 0) -> float:
    return sum(term.item() for term in method.loss(OUTPUT, BATCH, at(epoch)).values())


def probabilities(expert: int, image: int) -> list[float]:
    powers = [math.exp(z) for z in LOGITS[expert, image].tolist()]
    return [power / sum(powers) for power in powers]


def effective(beta: float) -> list[float]:
    raw = [(1 - beta) / (1 - beta**n) for n in COUNTS.tolist()]
    return [5 * weight / sum(raw) for weight in raw]


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.5])
def test_focal_counts_an_image_by_what_its_class_lacks(gamma: float) -> None:
    expected = 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            p = probabilities(m, i)[y]
            expected -= (1 - p) ** gamma * math.log(p) / 9
    assert total(build("focal", gamma=gamma)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("beta", [0.9999, 0.9])
def test_class_balanced_is_a_weighted_mean(beta: float) -> None:
    weight, expected = effective(beta), 0.0
    for m in range(2):
        losses = [-weight[y] * math.log(probabilities(m, i)[y]) for i, y in enumerate(TARGETS)]
        expected += sum(losses) / sum(weight[y] for y in TARGETS)
    assert total(build("class_balanced", beta=beta)) == pytest.approx(expected, rel=1e-4)


def test_class_balanced_focal_is_divided_by_the_number_of_images() -> None:
    weight, expected = effective(0.9999), 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            p = probabilities(m, i)[y]
            expected -= weight[y] * (1 - p) ** 2 * math.log(p) / 9
    assert total(build("class_balanced", gamma=2.0)) == pytest.approx(expected, rel=1e-4)


def test_class_balanced_weights_may_be_deferred() -> None:
    method, plain = build("class_balanced", start=160), build("focal", gamma=0.0)
    assert total(method, 159) == pytest.approx(total(plain), rel=1e-6)
    assert total(method, 160) == pytest.approx(total(build("class_balanced")), rel=1e-6)
    assert total(method, 160) != pytest.approx(total(plain), rel=1e-2)


@pytest.mark.parametrize("weights", ["inverse", "effective", "none"])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_ib_divides_by_the_gradient_that_the_classifier_gets(weights: str, gamma: float) -> None:
    inverse = [1 / n for n in COUNTS.tolist()]
    weight = {
        "inverse": [5 * w / sum(inverse) for w in inverse],
        "effective": effective(0.9999),
        "none": [1.0] * 5,
    }[weights]
    expected = 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            p = probabilities(m, i)
            apart = sum(abs(p[c] - (c == y)) for c in range(5))
            influence = apart * sum(abs(h) for h in FEATURES[m, i].tolist())
            loss = -weight[y] * math.log(p[y])
            if gamma:
                loss *= (1 - math.exp(-loss)) ** gamma
            expected += loss * 1000 / (influence + 1e-3) / 9
    method = build("ib", weights=weights, gamma=gamma)
    assert total(method, 100) == pytest.approx(expected, rel=1e-4)
    assert total(method, 99) == pytest.approx(total(build("focal", gamma=0.0)), rel=1e-6)


def test_ib_lets_gradients_through_the_influence_unless_asked_otherwise() -> None:
    for detach in (False, True):
        features = FEATURES.clone().requires_grad_()
        terms = build("ib", detach=detach).loss(ModelOutput(features, LOGITS.clone()), BATCH, at(100))
        assert terms["influence_balanced"].requires_grad != detach
