import itertools
import math

import pytest
import torch
from torch.nn import functional

from longtail.losses import (
    binary_soft_cross_entropy,
    class_weights,
    expert_cross_entropy,
    ldam_margins,
    sample_cross_entropy,
    soft_cross_entropy,
    target_margin,
    weighted_cross_entropy,
)

M, B, C = 3, 5, 4
COUNTS = torch.tensor([40, 500, 1, 7])  # in no order
WEIGHT = class_weights(COUNTS, rule="effective", beta=0.99)
MARGINS = ldam_margins(COUNTS)
SHARE = torch.tensor([0.75, 1.0, 0.5, 0.25, 0.0])
OTHER = torch.tensor([1, 0, 2, 3, 1])
LOSSES = {
    "mean_of_drawn": lambda z, y: weighted_cross_entropy(z, y, WEIGHT, normalise=True),
    "mean_of_batch": lambda z, y: weighted_cross_entropy(z, y, WEIGHT, normalise=False),
    "soft": lambda z, y: soft_cross_entropy(z, y, OTHER[: len(y)], 0.3),
    "soft_by_sample": lambda z, y: soft_cross_entropy(z, y, OTHER[: len(y)], SHARE[: len(y)]),
    "soft_weighted": lambda z, y: soft_cross_entropy(z, y, OTHER[: len(y)], 0.3, weight=WEIGHT),
    "margin": lambda z, y: expert_cross_entropy(target_margin(z, y, MARGINS, scale=2.0), y),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(M, B, C, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target() -> torch.Tensor:
    return torch.tensor([0, 3, 2, 1, 0])


def log_p(z: list[float], y: int) -> float:
    return z[y] - math.log(sum(math.exp(v) for v in z))


@pytest.mark.parametrize(
    ("options", "one"),
    [
        ({}, lambda n: 1 / n),
        ({"power": 1.2}, lambda n: n**-1.2),
        ({"power": 0.0}, lambda n: 1.0),
        ({"rule": "effective"}, lambda n: (1 - 0.9999) / (1 - 0.9999**n)),
        ({"rule": "effective", "beta": 0.9}, lambda n: (1 - 0.9) / (1 - 0.9**n)),
        ({"rule": "effective", "beta": 0.0}, lambda n: 1.0),
    ],
)
def test_class_weights_agree_with_the_formula(options, one) -> None:
    raw = [one(n) for n in COUNTS.tolist()]
    expected = torch.tensor([C * value / sum(raw) for value in raw])
    torch.testing.assert_close(class_weights(COUNTS, **options), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("rule", ["inverse", "effective"])
def test_class_weights_of_extreme_counts(rule) -> None:
    absent, single = torch.tensor([0, 5, 10**6]), torch.tensor([1, 5, 10**6])
    assert torch.equal(class_weights(absent, rule=rule), class_weights(single, rule=rule))
    for counts in (absent, torch.full((1000,), 3), torch.zeros(4, dtype=torch.int64)):
        weights = class_weights(counts, rule=rule)
        assert weights.sum().item() == pytest.approx(len(counts), rel=1e-5)
        assert (weights > 0).all()
        order = counts.argsort()
        assert (weights[order].diff() <= 0).all()  # fewer images, no smaller weight


@pytest.mark.parametrize("normalise", [True, False])
def test_weighted_cross_entropy_agrees_with_a_loop(logits, target, normalise) -> None:
    weights = [WEIGHT[y].item() for y in target]
    expected = [
        sum(-w * log_p(z.tolist(), int(y)) for w, z, y in zip(weights, zs, target, strict=True))
        / (sum(weights) if normalise else B)
        for zs in logits
    ]
    value = weighted_cross_entropy(logits, target, WEIGHT, normalise=normalise)
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64))


def test_the_two_reductions_are_those_of_pytorch(logits, target) -> None:
    weight = WEIGHT.double()
    for reduction in (True, False):
        ours = weighted_cross_entropy(logits, target, weight, normalise=reduction)
        for z, value in zip(logits, ours, strict=True):
            kind = "mean" if reduction else "none"
            torch.testing.assert_close(
                value, functional.cross_entropy(z, target, weight, reduction=kind).mean()
            )


def test_a_batch_of_weight_zero_costs_nothing(logits, target) -> None:
    weight = torch.tensor([0.0, 1.0, 1.0, 1.0])
    value = weighted_cross_entropy(logits, torch.zeros_like(target), weight, normalise=True)
    assert torch.equal(value, torch.zeros(M, dtype=torch.float64))


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("share", [0.3, torch.tensor(0.3), SHARE])
def test_soft_cross_entropy_agrees_with_a_loop(logits, target, share, weight) -> None:
    shares = torch.as_tensor(share).expand(B).tolist()
    w = torch.ones(C) if weight is None else weight
    expected = [
        sum(
            -s * w[y].item() * log_p(z.tolist(), int(y)) - (1 - s) * w[o].item() * log_p(z.tolist(), int(o))
            for s, z, y, o in zip(shares, zs, target, OTHER, strict=True)
        )
        / B
        for zs in logits
    ]
    value = soft_cross_entropy(logits, target, OTHER, share, weight=weight)
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-7)


def test_a_whole_share_is_the_plain_cross_entropy(logits, target) -> None:
    plain = expert_cross_entropy(logits, target)
    torch.testing.assert_close(soft_cross_entropy(logits, target, OTHER, 1.0), plain)
    torch.testing.assert_close(soft_cross_entropy(logits, OTHER, target, 0.0), plain)
    torch.testing.assert_close(soft_cross_entropy(logits, target, target, 0.37), plain)
    torch.testing.assert_close(sample_cross_entropy(logits, target).mean(1), plain)
    one = torch.ones(C)
    torch.testing.assert_close(weighted_cross_entropy(logits, target, one, normalise=True), plain)


def test_margins_agree_with_the_formula() -> None:
    smallest = min(COUNTS.tolist())
    expected = torch.tensor([0.4 * (smallest / n) ** 0.25 for n in COUNTS.tolist()])
    torch.testing.assert_close(ldam_margins(COUNTS, largest=0.4), expected)
    assert torch.equal(ldam_margins(torch.tensor([0, 5])), ldam_margins(torch.tensor([1, 5])))


@pytest.mark.parametrize("scale", [30.0, torch.tensor([15.0, 20.0, 50.0, 1.0, 2.0])])
def test_a_margin_is_taken_off_the_target_alone(logits, target, scale) -> None:
    scales = torch.as_tensor(scale).expand(B)
    expected = logits.clone()
    for m in range(M):
        for b in range(B):
            expected[m, b, target[b]] -= MARGINS[target[b]]
            expected[m, b] *= scales[b]
    torch.testing.assert_close(target_margin(logits, target, MARGINS, scale=scale), expected)


@each_loss
def test_experts_are_independent(loss, logits, target) -> None:
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(loss(logits[order], target), loss(logits, target)[order])
    torch.testing.assert_close(loss(logits[:1], target), loss(logits, target)[:1])


@each_loss
def test_a_shift_of_the_logits_changes_nothing(loss, logits, target) -> None:
    torch.testing.assert_close(loss(logits + 7.5, target), loss(logits, target))


@each_loss
def test_gradients(loss, logits, target) -> None:
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits.requires_grad_())


@each_loss
def test_huge_logits_and_a_batch_of_one_stay_finite(loss) -> None:
    logits = torch.full((M, 1, C), -1e4)
    logits[..., 1] = 1e4
    logits.requires_grad_()
    value = loss(logits, torch.tensor([0]))
    value.sum().backward()
    assert value.isfinite().all()
    assert (value > 1e2).all()
    assert logits.grad.isfinite().all()


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(loss, logits, target, dtype) -> None:
    half = logits.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), target), rtol=0, atol=0)


@pytest.mark.parametrize("share", [0.3, 1.0, torch.tensor(0.6, dtype=torch.float64)])
def test_binary_soft_cross_entropy_agrees_with_a_loop(share) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(2, 4, 5, dtype=torch.float64, generator=generator)
    target, other = torch.tensor([0, 1, 2, 2]), torch.tensor([3, 1, 0, 4])
    expected = torch.zeros(2, dtype=torch.float64)
    for m, b in itertools.product(range(2), range(4)):
        p, t = logits[m, b].softmax(0), torch.zeros(5, dtype=torch.float64)
        t[target[b]] += float(share)
        t[other[b]] += 1 - float(share)
        expected[m] -= (t * p.log() + (1 - t) * (1 - p).log()).sum() / 4
    torch.testing.assert_close(binary_soft_cross_entropy(logits, target, other, share), expected)


@pytest.mark.parametrize("size", [1e4, 0.0])
def test_binary_soft_cross_entropy_of_certain_and_of_equal_logits(size: float) -> None:
    """A probability that rounds to 1 has 1 - p without a logarithm of zero, and a finite gradient."""
    logits = torch.tensor([[[size, 0.0, 0.0], [0.0, size, 0.0]]]).requires_grad_()
    value = binary_soft_cross_entropy(logits, torch.tensor([0, 0]), torch.tensor([0, 0]), 1.0)
    certain, equal = (2 * size - math.log(2)) / 2, math.log(3) - 2 * math.log(2 / 3)
    torch.testing.assert_close(value, torch.tensor([certain if size else equal]))
    value.sum().backward()
    assert logits.grad.isfinite().all()
