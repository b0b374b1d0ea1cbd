"""The plain methods against their formulas."""

from typing import Any

import torch
from torch.nn import functional

from longtail.method import Method
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
NOW = Progress("train", 0, 10, 0, 0, 0)
LOGITS = 2 * torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
OUTPUT = ModelOutput(torch.zeros(2, 9, 4), LOGITS)
BATCH = Batch(torch.zeros(9, 3, 4, 4), torch.arange(9) % 5, torch.arange(9))


def build(name: str, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def test_cross_entropy_sums_over_experts() -> None:
    (term,) = build("cross_entropy").loss(OUTPUT, BATCH, NOW).values()
    torch.testing.assert_close(term, sum(functional.cross_entropy(z, BATCH.target) for z in LOGITS))
    torch.testing.assert_close(build("cross_entropy").logits(OUTPUT), (LOGITS[0] + LOGITS[1]) / 2)


def test_balanced_softmax_raises_logits_in_training_only() -> None:
    for tau in (1.0, 0.5):
        method = build("balanced_softmax", tau=tau)
        (term,) = method.loss(OUTPUT, BATCH, NOW).values()
        raised = LOGITS + tau * COUNTS.log()
        torch.testing.assert_close(term, sum(functional.cross_entropy(z, BATCH.target) for z in raised))
        torch.testing.assert_close(method.logits(OUTPUT), LOGITS.mean(0))


def test_logit_adjustment_lowers_logits_in_prediction_only() -> None:
    for tau in (1.0, 0.5):
        method = build("logit_adjustment", tau=tau)
        (term,) = method.loss(OUTPUT, BATCH, NOW).values()
        torch.testing.assert_close(term, sum(functional.cross_entropy(z, BATCH.target) for z in LOGITS))
        torch.testing.assert_close(method.logits(OUTPUT), LOGITS.mean(0) - tau * COUNTS.log())
