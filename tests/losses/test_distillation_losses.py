from itertools import combinations, permutations

import pytest
import torch

from longtail.losses import mutual_distillation, mutual_distillation_ordered

B, C = 4, 6
both = pytest.mark.parametrize("loss", [mutual_distillation, mutual_distillation_ordered])


def random_logits(experts: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(experts)
    return 2 * torch.randn(experts, B, C, dtype=torch.float64, generator=generator)


def divergence(teacher: torch.Tensor, learner: torch.Tensor, temperature: float) -> torch.Tensor:
    p, q = (teacher / temperature).softmax(-1), (learner / temperature).softmax(-1)
    return (p * (p / q).log()).sum(-1).mean()


@pytest.mark.parametrize("experts", [2, 3, 5])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("detach", [False, True])
def test_both_forms_agree_with_the_pairs(experts, temperature, detach) -> None:
    logits = random_logits(experts).requires_grad_()

    def naive(pairs) -> torch.Tensor:
        teachers = logits.detach() if detach else logits
        return sum(divergence(teachers[i], logits[j], temperature) for i, j in pairs)

    options = {"temperature": temperature, "detach_teacher": detach}
    forms = [
        (mutual_distillation, naive(combinations(range(experts), 2)) * 2 / (experts * (experts - 1))),
        (mutual_distillation_ordered, naive(permutations(range(experts), 2)) / C),
    ]
    for loss, expected in forms:
        value = loss(logits, **options)
        torch.testing.assert_close(value, expected)
        gradients = [torch.autograd.grad(v, logits, retain_graph=True)[0] for v in (value, expected)]
        torch.testing.assert_close(*gradients)


def test_the_factor_between_the_forms() -> None:
    logits = random_logits(3)
    mean = (mutual_distillation(logits) + mutual_distillation(logits.flip(0))) / 2
    torch.testing.assert_close(mutual_distillation_ordered(logits), mean * 3 * 2 / C)


@both
def test_one_expert_and_equal_experts_have_nothing_to_learn(loss) -> None:
    alone = random_logits(1).requires_grad_()
    value = loss(alone)
    value.backward()
    assert value == 0
    assert alone.grad.abs().max() == 0
    equal = random_logits(1).expand(3, -1, -1)
    assert loss(equal).abs() < 1e-14
    assert loss(random_logits(3)) > 0.1


@both
def test_a_shift_of_the_logits_changes_nothing(loss) -> None:
    logits = random_logits(3)
    shift = torch.arange(3.0, dtype=torch.float64).view(3, 1, 1) * 5
    torch.testing.assert_close(loss(logits + shift), loss(logits))


def test_only_the_ordered_form_ignores_the_order_of_the_experts() -> None:
    logits = random_logits(3)
    mixed = logits[[2, 0, 1]]
    torch.testing.assert_close(mutual_distillation_ordered(mixed), mutual_distillation_ordered(logits))
    assert (mutual_distillation(mixed) - mutual_distillation(logits)).abs() > 1e-3


def test_a_detached_teacher_gets_no_gradient() -> None:
    logits = random_logits(3).requires_grad_()
    mutual_distillation(logits, detach_teacher=True).backward()
    assert logits.grad[0].abs().max() < 1e-15
    assert logits.grad[1].abs().max() > 1e-3


@both
def test_gradients(loss) -> None:
    assert torch.autograd.gradcheck(loss, random_logits(3).requires_grad_())


@both
def test_huge_logits_stay_finite(loss) -> None:
    logits = torch.full((3, 2, C), -1e4)
    logits[0, :, 0] = logits[1, :, 1] = logits[2, :, 1] = 1e4
    logits.requires_grad_()
    value = loss(logits)
    value.backward()
    assert value.isfinite()
    assert value > 1e3
    assert logits.grad.isfinite().all()


def test_agreeing_experts_cost_nothing_beside_a_huge_outlier() -> None:
    """Two equal experts after one at -1e4: rounding of the outlier must not leak into their pair."""
    logits = torch.zeros(3, 1, 3)
    logits[0, 0, 1:] = -3e4
    pair = logits[1:]
    expected = mutual_distillation(logits[:2])  # KL of the outlier to one of them, the same for both
    torch.testing.assert_close(mutual_distillation(logits), (2 * expected + mutual_distillation(pair)) / 3)


@both
def test_half_precision_is_computed_in_float32(loss) -> None:
    half = random_logits(3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float()), rtol=0, atol=0)
