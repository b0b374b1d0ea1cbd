"""Experts that teach each other, themselves on other views, or flee from each other, against loops."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from longtail.method import Method, Stage
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
LOGS = [math.log(n) for n in COUNTS.tolist()]
TARGET = torch.tensor([0, 1, 2, 3, 4, 1])


def build(name: str, num_experts: int = 3, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, num_experts, 4)


def made(num_experts: int, views: int = 1) -> tuple[ModelOutput, Batch]:
    rows = views * len(TARGET)
    logits = 2 * torch.randn(num_experts, rows, 5, generator=torch.Generator().manual_seed(0))
    output = ModelOutput(torch.zeros(num_experts, rows, 4), logits, {"scale": torch.tensor(10.0)})
    return output, Batch(torch.rand(rows, 3, 4, 4), TARGET, torch.arange(len(TARGET)))


def now(epoch: int = 0) -> Progress:
    return Progress("train", epoch, 200, epoch, 0, 0)


def terms(method: Method, output: ModelOutput, batch: Batch, epoch: int = 0) -> dict[str, float]:
    method.start_epoch(now(epoch))
    return {name: term.item() for name, term in method.loss(output, batch, now(epoch)).items()}


def softmax(logits: list[float]) -> list[float]:
    return [math.exp(one) / sum(map(math.exp, logits)) for one in logits]


def surprise(logits: list[float], y: int) -> float:
    return -math.log(softmax(logits)[y])


def divergence(teacher: list[float], learner: list[float], classes: list[int] | None = None) -> float:
    p, q = softmax(teacher), softmax(learner)
    return sum(p[c] * math.log(p[c] / q[c]) for c in (range(5) if classes is None else classes))


def hardest(first: list[float], y: int, number: int) -> list[int]:
    """The label and the classes with the highest bare logits of the first network."""
    others = sorted((c for c in range(5) if c != y), key=lambda c: -first[c])
    return [y, *others[: number - 1]]


def naive_ncl(logits: Tensor, number: int) -> dict[str, float]:
    found = dict.fromkeys(("cross_entropy", "hard_cross_entropy", "distillation", "hard_distillation"), 0.0)
    experts = len(logits)
    for b, y in enumerate(TARGET.tolist()):
        kept = hardest(logits[0, b].tolist(), y, number)
        full = [[z + log for z, log in zip(row, LOGS, strict=True)] for row in logits[:, b].tolist()]
        hard = [[z if c in kept else 0.0 for c, z in enumerate(row)] for row in full]
        for kind, rows in (("", full), ("hard_", hard)):
            found[f"{kind}cross_entropy"] += sum(surprise(row, y) for row in rows) / 6
            pairs = [divergence(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
            found[f"{kind}distillation"] += 0.6 / (experts - 1) * sum(pairs) / 6
    return found


@pytest.mark.parametrize(("share", "number"), [(0.3, 2), (0.6, 3), (0.01, 1)])
def test_ncl_looks_at_all_classes_and_at_the_hardest_of_the_first_network(share: float, number: int) -> None:
    output, batch = made(3)
    expected = naive_ncl(output.logits, number)
    assert terms(build("ncl", hard_share=share), output, batch) == pytest.approx(expected, rel=1e-5)
    assert set(terms(build("ncl", 1), *made(1))) == {"cross_entropy", "hard_cross_entropy"}


def naive_ncl_plus(logits: Tensor, number: int) -> dict[str, float]:
    experts, views, rows = len(logits), 4, len(TARGET)
    found = dict.fromkeys(("cross_entropy", "hard_cross_entropy", "within_networks", "between_networks"), 0.0)
    full = (logits + torch.tensor(LOGS)).tolist()
    kept = [hardest(logits[0, r].tolist(), TARGET[r % rows].item(), number) for r in range(views * rows)]
    for r in range(views * rows):
        y = TARGET[r % rows].item()
        for m in range(experts):
            found["cross_entropy"] += surprise(full[m][r], y) / (views * rows)
            hard = [z if c in kept[r] else 0.0 for c, z in enumerate(full[m][r])]
            found["hard_cross_entropy"] += surprise(hard, y) / (views * rows)
            for other in set(range(experts)) - {m}:
                both = divergence(full[m][r], full[other][r]) + divergence(
                    full[m][r], full[other][r], kept[r]
                )
                found["between_networks"] += 0.6 * both / (experts * (experts - 1) / 2) / (views * rows)
    for b in range(rows):
        for row in full:
            for v in range(views):
                for w in set(range(views)) - {v}:
                    one, two = row[v * rows + b], row[w * rows + b]
                    both = divergence(one, two) + divergence(one, two, kept[b])
                    found["within_networks"] += 0.6 * both / 6 / rows
    return found


def test_ncl_plus_agrees_within_and_between_networks() -> None:
    output, batch = made(2, views=4)
    method = build("ncl_plus", 2)
    assert method.num_views == 4
    assert terms(method, output, batch) == pytest.approx(naive_ncl_plus(output.logits, 2), rel=1e-5)


def naive_ride(logits: Tensor, weighted: bool) -> dict[str, float]:
    counts = COUNTS.tolist()
    margins = [0.5 * (min(counts) / n) ** 0.25 for n in counts]
    weights = [(1 - 0.9999) / (1 - 0.9999**n) if weighted else 1.0 for n in counts]
    tilted = [5 * n / sum(counts) * 0.05 + 0.95 for n in counts]
    temperature = [one / max(tilted) if weighted else 1.0 for one in tilted]
    mean_temperature = sum(temperature) / 5
    ldam = apart = 0.0
    for m in range(len(logits)):
        total = 0.0
        for b, y in enumerate(TARGET.tolist()):
            row = logits[m, b].tolist()
            total += weights[y] * surprise([z - 10 * margins[y] * (c == y) for c, z in enumerate(row)], y)
            mean = (logits[:, b].mean(0) / torch.tensor(temperature)).tolist()
            apart += divergence(mean, [z / t for z, t in zip(row, temperature, strict=True)]) / 6
        ldam += total / sum(weights[y] for y in TARGET.tolist())
    return {"ldam": ldam, "diversity": -0.45 * mean_temperature**2 * apart}


@pytest.mark.parametrize(("epoch", "weighted"), [(0, False), (159, False), (160, True)])
def test_ride_pushes_experts_from_their_mean_and_weighs_classes_late(epoch: int, weighted: bool) -> None:
    output, batch = made(3)
    method = build("ride")
    assert terms(method, output, batch, epoch) == pytest.approx(naive_ride(output.logits, weighted), rel=2e-4)
    assert (method.phase(now(epoch)) == method.phase(now(199))) == weighted


def test_ride_pushes_each_expert_by_its_distance_from_the_mean() -> None:
    output, batch = made(2)
    logits = output.logits.clone().requires_grad_()
    term = build("ride", 2).loss(output._replace(logits=logits), batch, now())["diversity"]
    (grad,) = torch.autograd.grad(term, logits)
    mean = output.logits.mean(0).softmax(-1)
    expected = -0.45 * (output.logits.softmax(-1) - mean) / 6
    torch.testing.assert_close(grad, expected)


def test_ride_stands_for_the_weighted_mix_where_the_weights_are_on_at_the_end() -> None:
    method = build("ride", beta=0.9)
    before, after = (method.assumed_log_prior(Stage("train", length)) for length in (160, 161))
    weights = torch.tensor([0.1 / (1 - 0.9**n) for n in COUNTS.tolist()]).log()
    torch.testing.assert_close(
        (after - before - weights).var(), torch.zeros((), dtype=torch.double), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(before - before[0], (COUNTS / COUNTS[0]).double().log())


def naive_mdcs(logits: Tensor, ramp: float) -> dict[str, float]:
    rows, entropy, consistency = len(TARGET), 0.0, 0.0
    for m, strength in enumerate((-0.5, 1.0, 2.5)):
        adjusted = [
            [z + strength * log for z, log in zip(row, LOGS, strict=True)] for row in logits[m].tolist()
        ]
        entropy += sum(surprise(row, TARGET[r % rows].item()) for r, row in enumerate(adjusted)) / (2 * rows)
        right = [b for b, y in enumerate(TARGET.tolist()) if max(adjusted[b]) == adjusted[b][y]]
        if right:
            total = sum(divergence(adjusted[b], adjusted[rows + b]) for b in right)
            consistency += total / len(right)
    return {"cross_entropy": entropy, "consistency": 0.6 * ramp * consistency}


@pytest.mark.parametrize(("epoch", "ramp"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0)])
def test_mdcs_learns_on_strong_views_what_it_knows_of_weak_ones(epoch: int, ramp: float) -> None:
    output, batch = made(3, views=2)
    method = build("mdcs")
    assert method.view_names() == ("weak", "strong")
    assert terms(method, output, batch, epoch) == pytest.approx(naive_mdcs(output.logits, ramp), rel=1e-5)


def test_no_gradient_of_mdcs_goes_through_the_weak_view() -> None:
    output, batch = made(3, views=2)
    logits = output.logits.clone().requires_grad_()
    term = build("mdcs").loss(output._replace(logits=logits), batch, now())["consistency"]
    (grad,) = torch.autograd.grad(term, logits)
    assert grad[:, : len(TARGET)].abs().max() == 0
    assert grad[:, len(TARGET) :].abs().max() > 0


def test_mdcs_without_an_image_that_is_right_has_no_consistency() -> None:
    output, batch = made(1, views=2)
    logits = torch.zeros_like(output.logits).index_fill(2, torch.tensor([3]), 40.0)
    batch = Batch(batch.image, torch.zeros_like(TARGET), batch.index)
    assert terms(build("mdcs", 1, ramp_epochs=0), output._replace(logits=logits), batch)["consistency"] == 0
