"""SHIKE against loops written from its formulas."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from longtail.method import Method
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
FEATURE, CLASSIFIER = (Progress(name, 0, 20, 0, 0, 0) for name in ("feature", "classifier"))
LOGITS = 4 * torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0))
OUTPUT = ModelOutput(torch.zeros(3, 9, 4), LOGITS)
BATCH = Batch(torch.zeros(9, 3, 4, 4), torch.arange(9) % 5, torch.arange(9))


def build(num_experts: int = 3, **options: Any) -> Method:
    return find("shike")(find("shike").Options(name="shike", **options), COUNTS, num_experts, 4)


def softmax(logits: list[float]) -> list[float]:
    return [math.exp(one) / sum(map(math.exp, logits)) for one in logits]


def divergence(teacher: list[float], learner: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(softmax(teacher), softmax(learner), strict=True))


def naive(logits: Tensor, at_target: float) -> tuple[float, float, float]:
    """Cross-entropy, mining and mutual distillation, summed over experts, mean over the batch."""
    entropy = mining = mutual = 0.0
    for b, y in enumerate(BATCH.target.tolist()):
        rows = logits[:, b].tolist()
        entropy -= sum(math.log(softmax(row)[y]) for row in rows)
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        hardest = max((c for c in range(5) if c != y), key=lambda c: mean[c])
        teacher = [max(column) for column in zip(*rows, strict=True)]
        teacher[hardest], teacher[y] = mean[hardest], at_target
        for row in rows:
            mining += divergence(teacher, [-30.0 if c == y else one for c, one in enumerate(row)])
        mutual += sum(divergence(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j)
    return entropy / 9, mining / 9, mutual / 9


@pytest.mark.parametrize(("form", "at_target"), [("zero", 0.0), ("left_out", -30.0)])
@pytest.mark.parametrize("divide", [True, False])
def test_the_feature_stage(form: str, at_target: float, divide: bool) -> None:
    terms = build(teacher_target=form, divide_by_classes=divide).loss(OUTPUT, BATCH, FEATURE)
    entropy, mining, mutual = naive(LOGITS, at_target)
    share = 1 / 5 if divide else 1
    expected = {"cross_entropy": entropy, "mining": 10 * share * mining, "distillation": share * mutual}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-4)


def test_gradients_reach_the_expert_that_gives_the_highest_logit() -> None:
    logits = torch.tensor([[[0.0, 1.0, 5.0, 0.0, 0.0]], [[0.0, 9.0, 0.0, 0.0, 0.0]]], requires_grad=True)
    batch = Batch(torch.zeros(1, 3, 4, 4), torch.tensor([0]), torch.tensor([0]))
    term = build(2).loss(ModelOutput(torch.zeros(2, 1, 4), logits), batch, FEATURE)["mining"]
    (grad,) = torch.autograd.grad(term, logits)
    learner = logits.detach().clone().requires_grad_()
    teacher = torch.tensor([0.0, 5.0, 5.0, 0.0, 0.0]).softmax(-1)
    alone = learner.masked_fill(torch.tensor([True, False, False, False, False]), -30.0).log_softmax(-1)
    (without,) = torch.autograd.grad(-(10 / 5) * (teacher * alone).sum(), learner)
    assert not torch.allclose(
        grad[0, 0, 2], without[0, 0, 2]
    )  # 5 is the highest at class 2: expert 0 also teaches there
    torch.testing.assert_close(grad[1, 0, 2], without[1, 0, 2])


def test_the_classifier_stage_adjusts_logits_of_fresh_classifiers_alone() -> None:
    method = build()
    terms = method.loss(OUTPUT, BATCH, CLASSIFIER)
    raised = LOGITS + COUNTS.log()
    expected = sum(torch.nn.functional.cross_entropy(z, BATCH.target) for z in raised)
    torch.testing.assert_close(terms, {"logit_adjustment": expected})
    feature, classifier = method.stages(method.options, 200)
    assert (feature.epochs, classifier.epochs, classifier.trainable) == (180, 20, ("heads.*",))
    assert feature.bank != classifier.bank
    assert (classifier.warmup_epochs, classifier.peak_lr, classifier.batch_norm) == (None, 0.1, "train")
    assert len(method.stages(build(classifier_epochs=0).options, 200)) == 1
