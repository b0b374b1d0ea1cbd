"""Experts that differ in the class prior they are trained for, against loops written from the formulas."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from longtail.method import Method, Stage
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
LOGS = [math.log(n / 81) for n in COUNTS.tolist()]
REVERSED = [3, 1, 7, 50, 20]  # the second smallest class gets the second largest's images, ...
NOW = Progress("train", 0, 200, 0, 0, 0)
LOGITS = 2 * torch.randn(3, 10, 5, generator=torch.Generator().manual_seed(0))
OUTPUT = ModelOutput(torch.zeros(3, 10, 4), LOGITS, {"scale": torch.tensor(10.0)})
TARGET = torch.arange(10) % 5
BATCH = Batch(torch.rand(10, 3, 4, 4), TARGET, torch.arange(10), keys=torch.tensor([3, 4]))


def build(name: str, num_experts: int = 3, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, num_experts, 4)


def terms(method: Method, batch: Batch = BATCH, output: ModelOutput = OUTPUT) -> dict[str, float]:
    return {name: term.item() for name, term in method.loss(output, batch, NOW).items()}


def surprises(logits: Tensor, target: Tensor, added: list[float]) -> list[float]:
    """-log(exp(z_y + a_y) / sum_c exp(z_c + a_c)) of each sample."""
    found = []
    for z, y in zip(logits.tolist(), target.tolist(), strict=True):
        weights = [math.exp(value + more) for value, more in zip(z, added, strict=True)]
        found.append(-math.log(weights[y] / sum(weights)))
    return found


def naive(logits: Tensor, target: Tensor, added: list[float]) -> float:
    return sum(surprises(logits, target, added)) / len(target)


def divergence(teacher: list[float], learner: list[float]) -> float:
    """KL between the softmax of two lists of logits."""
    p, q = ([math.exp(one) / sum(map(math.exp, logits)) for one in logits] for logits in (teacher, learner))
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def relative(method: Method) -> list[float]:
    prior = method.assumed_log_prior(Stage("train", 1))
    return (prior - prior[0]).tolist()


@pytest.mark.parametrize("tau", [2.0, 1.0])
def test_sade_trains_each_expert_for_its_mix(tau: float) -> None:
    turned = [log - tau * math.log(n / 81) for log, n in zip(LOGS, REVERSED, strict=True)]
    expected = [naive(z, TARGET, a) for z, a in zip(LOGITS, ([0.0] * 5, LOGS, turned), strict=True)]
    assert list(terms(build("sade", tau=tau)).values()) == pytest.approx(expected, rel=1e-5)


def test_sade_predicts_by_the_mean_of_raw_logits_which_stand_for_no_one_mix() -> None:
    method = build("sade")
    torch.testing.assert_close(method.logits(OUTPUT), LOGITS.mean(0))
    expected = [(math.log(n) + 2 * math.log(m)) / 3 for n, m in zip(COUNTS.tolist(), REVERSED, strict=True)]
    assert relative(method) == pytest.approx([one - expected[0] for one in expected], abs=1e-5)


def test_balpoe_is_the_mean_over_experts_with_two_labels() -> None:
    method = build("balpoe")
    batch = method.prepare(BATCH, NOW)
    share, partner = batch.aux["share"].item(), batch.aux["partner"]
    other = torch.tensor([
        next(j for j in range(10) if torch.allclose(
            batch.image[i], share * BATCH.image[i] + (1 - share) * BATCH.image[j], atol=1e-6))
        for i in range(10)
    ])  # fmt: skip
    assert TARGET[other].tolist() == partner.tolist()
    assert sorted(other.tolist()) == list(range(10))
    expected = 0.0
    for z, tau in zip(LOGITS, (0.0, 1.0, 2.0), strict=True):
        added = [tau * log for log in LOGS]
        expected += share * naive(z, TARGET, added) + (1 - share) * naive(z, partner, added)
    assert terms(method, batch) == {"cross_entropy": pytest.approx(expected / 3, rel=1e-5)}


def test_balpoe_is_fit_for_balanced_classes_where_its_taus_have_mean_one() -> None:
    assert relative(build("balpoe", tau_first=-1.0, tau_last=3.0)) == pytest.approx([0.0] * 5, abs=1e-6)
    single = build("balpoe", 1, mixup_alpha=0.0)
    output = OUTPUT._replace(logits=LOGITS[:1])
    assert terms(single, output=output)["cross_entropy"] == pytest.approx(
        naive(LOGITS[0], TARGET, LOGS), rel=1e-5
    )
    assert single.prepare(BATCH, NOW) is BATCH


def test_lgla_holds_an_expert_back_outside_its_group_and_weighs_wide_angles() -> None:
    local = [[LOGS[1], LOGS[1], LOGS[1], LOGS[1], LOGS[1]], [LOGS[0], LOGS[1], LOGS[2], LOGS[3], LOGS[4]]]
    group = [1, 0, 1, 1, 1]  # 50 images against 31
    expected = []
    for z, added in zip(LOGITS, [*local, [2.5 * log for log in LOGS]], strict=True):
        angle = [math.acos(z[b, y].item() / 10) for b, y in enumerate(TARGET.tolist())]
        total = 0.0
        for b, (y, lost) in enumerate(zip(TARGET.tolist(), surprises(z, TARGET, added), strict=True)):
            members = [angle[i] for i, t in enumerate(TARGET.tolist()) if group[t] == group[y]]
            total += lost * (1 + max(0.0, angle[b] - sum(members) / len(members)))
        expected.append(total / 10)
    found = terms(build("lgla"))
    assert found["local_adjustment"] == pytest.approx(expected[0] + expected[1], rel=1e-5)
    assert found["global_adjustment"] == pytest.approx(expected[2], rel=1e-5)
    plain = sum(naive(z, TARGET, a) for z, a in zip(LOGITS[:2], local, strict=True))
    assert terms(build("lgla", angular_weight=0.0))["local_adjustment"] == pytest.approx(plain, rel=1e-5)


def naive_tcl(accuracy: list[float], beta: float, chosen: list[bool]) -> tuple[float, float, float]:
    adjusted = sum(
        naive(z, TARGET, [d * log for log in LOGS]) for z, d in zip(LOGITS, (0.9, 1.0, 1.1), strict=True)
    )
    roots = [math.sqrt(1 - a) for a in accuracy]
    taught = calibrated = 0.0
    for b, y in enumerate(TARGET.tolist()):
        rows = LOGITS[:, b].tolist()
        for k, teacher in enumerate(rows):
            if max(teacher) == teacher[y]:
                learners = [row for j, row in enumerate(rows) if j != k]
                taught += sum(5 * roots[y] / sum(roots) * divergence(teacher, row) for row in learners)
        mean = [sum(column) / 3 for column in zip(*rows, strict=True)]
        calm = [sum(mean) / 5 if one > mean[y] else one for one in mean]
        if chosen[b]:
            calm[y] = -30.0
            learners = [[-30.0 if c == y else one for c, one in enumerate(row)] for row in rows]
            calibrated += sum(divergence(calm, row) for row in learners)
    return adjusted, taught / 10, beta * calibrated / 10


def test_tcl_lets_right_experts_teach_and_calms_what_lies_above_the_label() -> None:
    wrong = (LOGITS.argmax(2) != TARGET).all(0).tolist()
    assert 0 < sum(wrong) < 10
    for calibrate, chosen in (("all", [True] * 10), ("all_wrong", wrong)):
        method = build("tcl", calibrate=calibrate, calibration_weight=0.5)
        accuracy = [0.0, 0.2, 0.9, 1.0, 0.5]
        method.accuracy.copy_(torch.tensor(accuracy))
        expected = naive_tcl(accuracy, 0.5, chosen)
        assert list(terms(method).values()) == pytest.approx(expected, rel=1e-5)


def test_tcl_follows_the_accuracy_of_the_classes_that_a_batch_has() -> None:
    method = build("tcl", accuracy_decay=0.75)
    method.accuracy.fill_(0.4)
    target = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    right = [LOGITS.mean(0)[b].argmax().item() == y for b, y in enumerate(target.tolist())]
    method.observe(OUTPUT, Batch(BATCH.image, target, BATCH.index), NOW)
    shares = [sum(right[:4]) / 4, sum(right[4:8]) / 4, sum(right[8:]) / 2]
    expected = [0.75 * 0.4 + 0.25 * share for share in shares] + [0.4, 0.4]
    assert method.accuracy.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_teacher_of_tcl_gets_gradients_unless_detached() -> None:
    """Images that one expert alone gets right: as the only teacher it takes gradients from the divergences or not."""
    logits = torch.tensor([[[3.0, 0, 0, 0, 0]], [[0, 1.0, 0, 0, 0]], [[0, 0, 1.0, 0, 0]]]).requires_grad_()
    batch = Batch(BATCH.image[:1], TARGET[:1], BATCH.index[:1])
    for detach in (False, True):
        method = build("tcl", detach_teacher=detach)
        term = method.loss(OUTPUT._replace(logits=logits), batch, NOW)["teaching"]
        (grad,) = torch.autograd.grad(term, logits)
        assert (grad[0].abs().sum() < 1e-6) == detach
        assert grad[1:].abs().sum((1, 2)).min() > 1e-3
