"""Methods that take margins off cosines, against loops over images and classes."""

import math
from typing import Any

import pytest
import torch

from longtail.method import Method
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
SCALE = 30.0
COSINES = (2 * torch.rand(2, 9, 5, generator=torch.Generator().manual_seed(0)) - 1) / 5
OUTPUT = ModelOutput(torch.zeros(2, 9, 4), SCALE * COSINES, {"scale": torch.tensor(SCALE)})
TARGETS = [0, 1, 2, 3, 4, 0, 1, 2, 3]
BATCH = Batch(torch.zeros(9, 3, 4, 4), torch.tensor(TARGETS), torch.arange(9), keys=torch.tensor([3, 4]))


def build(name: str, **options: Any) -> Method:
    assert find(name).needs == {"head": "cosine"}
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def cross_entropy(row: list[float], target: int) -> float:
    return math.log(sum(math.exp(z) for z in row)) - row[target]


def total(method: Method, epoch: int, stage: str = "train", batch: Batch = BATCH) -> float:
    terms = method.loss(OUTPUT, batch, Progress(stage, epoch, 200, epoch, 0, 0))
    return sum(term.item() for term in terms.values())


@pytest.mark.parametrize("epoch", [159, 160])
def test_ldam_has_margins_throughout_and_weights_at_last(epoch: int) -> None:
    expected, weight = 0.0, [1.0] * 5
    if epoch >= 160:
        weight = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS.tolist()]
    for m in range(2):
        loss = 0.0
        for i, y in enumerate(TARGETS):
            row = COSINES[m, i].tolist()
            row[y] -= 0.5 * (1 / COUNTS[y].item()) ** 0.25
            loss += weight[y] * cross_entropy([SCALE * cosine for cosine in row], y)
        expected += loss / sum(weight[y] for y in TARGETS)
    assert total(build("ldam"), epoch) == pytest.approx(expected, rel=1e-4)


def test_ldam_with_beta_0_never_weighs() -> None:
    method = build("ldam", beta=0.0)
    assert total(method, 160) == pytest.approx(total(method, 0), rel=1e-6)
