"""Experts that differ in the class mix they are trained for, against loops written from the formulas."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from longtail.method import Method, Stage
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
REVERSED = [3, 1, 7, 50, 20]  # the second smallest class gets the second largest's images, ...
NOW = Progress("train", 0, 200, 0, 0, 0)
LOGITS = 2 * torch.randn(3, 10, 5, generator=torch.Generator().manual_seed(0))
OUTPUT = ModelOutput(torch.zeros(3, 10, 4), LOGITS)
BATCH = Batch(torch.zeros(10, 3, 4, 4), torch.arange(10) % 5, torch.arange(10), keys=torch.tensor([3, 4]))


def build(name: str, num_experts: int = 3, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, num_experts, 4)


def naive(logits: Tensor, target: Tensor, added: list[float]) -> float:
    """Mean over the samples of -log(exp(z_y + a_y) / sum_c exp(z_c + a_c))."""
    total = 0.0
    for z, y in zip(logits.tolist(), target.tolist(), strict=True):
        weights = [math.exp(value + more) for value, more in zip(z, added, strict=True)]
        total -= math.log(weights[y] / sum(weights))
    return total / len(target)


@pytest.mark.parametrize("tau", [2.0, 1.0])
def test_sade_trains_each_expert_for_its_mix(tau: float) -> None:
    logs = [math.log(n / 81) for n in COUNTS.tolist()]
    turned = [log - tau * math.log(n / 81) for log, n in zip(logs, REVERSED, strict=True)]
    terms = build("sade", tau=tau).loss(OUTPUT, BATCH, NOW)
    expected = [naive(z, BATCH.target, a) for z, a in zip(LOGITS, ([0.0] * 5, logs, turned), strict=True)]
    assert [term.item() for term in terms.values()] == pytest.approx(expected, rel=1e-5)


def test_sade_predicts_by_the_mean_of_raw_logits_which_stand_for_no_one_mix() -> None:
    method = build("sade")
    torch.testing.assert_close(method.logits(OUTPUT), LOGITS.mean(0))
    expected = [(math.log(n) + 2 * math.log(m)) / 3 for n, m in zip(COUNTS.tolist(), REVERSED, strict=True)]
    found = method.assumed_log_prior(Stage("train", 1))
    assert (found - found[0]).tolist() == pytest.approx([one - expected[0] for one in expected], abs=1e-5)
