import math

import pytest
import torch

from longtail.losses import (
    expert_cross_entropy,
    focal_loss,
    logit_adjust,
    logit_adjusted_cross_entropy,
    parallel_loss,
)

M, B, C = 3, 5, 4
COUNTS = torch.tensor([500, 40, 7, 1])
LOSSES = {
    "cross_entropy": expert_cross_entropy,
    "focal": focal_loss,
    "focal_half": lambda z, y: focal_loss(z, y, gamma=0.5),
    "adjusted": lambda z, y: logit_adjusted_cross_entropy(z, y, COUNTS, tau=0.7),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(M, B, C, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target() -> torch.Tensor:
    return torch.tensor([0, 3, 2, 1, 0])


def naive(logits: torch.Tensor, target: torch.Tensor, sample_loss) -> torch.Tensor:
    rows = [[sample_loss(z.tolist(), int(y)) for z, y in zip(zs, target, strict=True)] for zs in logits]
    return torch.tensor([sum(row) / len(row) for row in rows], dtype=torch.float64)


def softmax(z: list[float], weights: list[int]) -> list[float]:
    terms = [n * math.exp(v) for v, n in zip(z, weights, strict=True)]
    return [t / sum(terms) for t in terms]


def test_cross_entropy_agrees_with_the_definition(logits, target) -> None:
    expected = naive(logits, target, lambda z, y: -math.log(softmax(z, [1] * C)[y]))
    torch.testing.assert_close(expert_cross_entropy(logits, target), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_agrees_with_the_definition(logits, target, gamma) -> None:
    def one(z: list[float], y: int) -> float:
        p = softmax(z, [1] * C)[y]
        return -((1 - p) ** gamma) * math.log(p)

    torch.testing.assert_close(focal_loss(logits, target, gamma=gamma), naive(logits, target, one))


def test_logit_adjustment_agrees_with_the_equation(logits, target) -> None:
    expected = naive(logits, target, lambda z, y: -math.log(softmax(z, COUNTS.tolist())[y]))
    torch.testing.assert_close(logit_adjusted_cross_entropy(logits, target, COUNTS), expected)


def test_equal_counts_adjust_nothing(logits, target) -> None:
    equal = torch.full((C,), 17)
    torch.testing.assert_close(
        logit_adjusted_cross_entropy(logits, target, equal), expert_cross_entropy(logits, target)
    )


def test_a_class_without_images_counts_as_one_image(logits, target) -> None:
    absent, single = torch.tensor([500, 40, 7, 0]), torch.tensor([500, 40, 7, 1])
    for tau in (1.0, 0.0, -1.0):
        assert torch.equal(logit_adjust(logits, absent, tau=tau), logit_adjust(logits, single, tau=tau))
    logits.requires_grad_()
    loss = logit_adjusted_cross_entropy(logits, target, absent)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()
    assert (logits.grad[:, target != 3, 3] > 0).all()  # pushed down wherever another class is right


def test_adjusting_back_removes_the_prior(logits) -> None:
    there = logit_adjust(logits, COUNTS, tau=1.0)
    torch.testing.assert_close(logit_adjust(there, COUNTS, tau=-1.0), logits)


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
@pytest.mark.parametrize("right", [True, False])
def test_huge_logits_stay_finite(loss, right) -> None:
    logits = torch.full((M, 1, C), -1e4)
    logits[..., 0 if right else 1] = 1e4
    logits.requires_grad_()
    value = loss(logits, torch.tensor([0]))
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad.isfinite().all()
    torch.testing.assert_close(value, torch.full((M,), 0.0 if right else 2e4), atol=5.0, rtol=0)


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(loss, logits, target, dtype) -> None:
    half = logits.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), target), rtol=0, atol=0)


def test_parallel_agrees_with_the_equation() -> None:
    losses = torch.tensor([0.3, 2.0, 1.1], dtype=torch.float64)
    expected = 1 / sum(1 / (value + 0.01) for value in losses.tolist())
    assert parallel_loss(losses, eps=0.01).item() == pytest.approx(expected, rel=1e-12)
    assert parallel_loss(losses[:1]).item() == pytest.approx(0.3 + 1e-8, rel=1e-12)


def test_parallel_gradient_has_the_closed_form() -> None:
    losses = torch.tensor([0.3, 2.0, 1.1], dtype=torch.float64, requires_grad=True)
    eps = 0.01
    parallel_loss(losses, eps=eps).backward()
    resistances = (losses + eps).detach()
    closed = 1 / ((1 / resistances).sum() ** 2 * resistances**2)
    torch.testing.assert_close(losses.grad, closed)
    assert torch.autograd.gradcheck(parallel_loss, losses)
    assert torch.autograd.gradgradcheck(lambda x: parallel_loss(x, eps=eps, factor=3), losses)


def test_equal_losses_times_experts_give_their_mean() -> None:
    losses = torch.full((4,), 1.7)
    assert parallel_loss(losses, factor=4).item() == pytest.approx(1.7, rel=1e-6)
    shuffled = torch.tensor([3.0, 1.0, 2.0])
    torch.testing.assert_close(parallel_loss(shuffled), parallel_loss(shuffled.sort().values))


@pytest.mark.parametrize("values", [[0.0, 1.0], [0.0, 0.0], [1e-30, 1e30], [1e30, 1e30], [1e38], [2e4, 0.0]])
def test_parallel_is_stable_at_extremes(values) -> None:
    losses = torch.tensor(values, requires_grad=True)
    value = parallel_loss(losses)
    value.backward()
    assert 0 <= value <= min(values) * 1.001 + 1.001e-8
    assert ((losses.grad >= 0) & (losses.grad <= 1.001)).all()
    assert losses.grad.sum() > 0


def test_the_better_expert_has_the_larger_say() -> None:
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    parallel_loss(losses).backward()
    assert losses.grad[0] / losses.grad[1] == pytest.approx(4.0, rel=1e-5)


def test_a_batch_of_one_and_many_classes() -> None:
    value = expert_cross_entropy(torch.zeros(2, 1, 8142), torch.tensor([8141]))
    torch.testing.assert_close(value, torch.full((2,), math.log(8142)))
