from itertools import combinations, permutations

import pytest
import torch

from longtail.losses import kl_divergence, mutual_distillation, mutual_distillation_ordered, pairwise_kl

B, C = 4, 6
MASK = torch.tensor([[True, False] * 3, [False] * 6, [True] * 6, [False] * 5 + [True]])
WEIGHTS = {
    "none": None,
    "by_sample": torch.tensor([0.0, 1.0, 0.5, 3.0], dtype=torch.float64),
    "by_teacher": torch.rand(3, B, generator=torch.Generator().manual_seed(1), dtype=torch.float64),
}
each_weight = pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS.keys())
LOSSES = {
    "unordered_mean": mutual_distillation,
    "released": mutual_distillation_ordered,
    "ordered": pairwise_kl,
    "to_mean": lambda z: pairwise_kl(z, form="to_mean"),
    "weighted": lambda z: pairwise_kl(z, weight=WEIGHTS["by_sample"][: z.shape[1]], temperature=2.0),
    "taught": lambda z: kl_divergence(z[:1], z).sum(),
    "taught_some": lambda z: kl_divergence(
        z.flip(0), z, weight=WEIGHTS["by_teacher"][:1, : z.shape[1]].expand(len(z), -1), normalise=True
    ).sum(),
}
every = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
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


@every
def test_one_expert_and_equal_experts_have_nothing_to_learn(loss) -> None:
    alone = random_logits(1).requires_grad_()
    value = loss(alone)
    value.backward()
    assert value == 0
    assert alone.grad.abs().max() == 0
    equal = random_logits(1).expand(3, -1, -1)
    assert loss(equal).abs() < 1e-14
    assert loss(random_logits(3)) > 0.1


@every
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


@every
def test_gradients(loss) -> None:
    assert torch.autograd.gradcheck(loss, random_logits(3).requires_grad_())


@every
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


@every
def test_half_precision_is_computed_in_float32(loss) -> None:
    half = random_logits(3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float()), rtol=0, atol=0)


@pytest.mark.parametrize("form", ["ordered", "unordered", "to_mean"])
@pytest.mark.parametrize("reduction", ["batchmean", "mean"])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("temperature", [1.0, torch.linspace(0.5, 2.0, C, dtype=torch.float64)])
@each_weight
@pytest.mark.parametrize("mask", [None, MASK])
def test_pairwise_kl_agrees_with_a_loop(form, reduction, detach, temperature, weight, mask) -> None:
    logits = random_logits(3).requires_grad_()
    if form == "to_mean" and weight is not None:
        weight = weight[-1:] if weight.dim() == 2 else weight
    mean = logits.mean(0)
    pairs = {
        "ordered": [(i, logits[i], logits[j]) for i, j in permutations(range(3), 2)],
        "unordered": [(i, logits[i], logits[j]) for i, j in combinations(range(3), 2)],
        "to_mean": [(0, mean, logits[j]) for j in range(3)],
    }[form]
    expected = 0.0
    for i, given, learner in pairs:
        teacher = given.detach() if detach else given
        for b in range(B):
            p, q = (teacher[b] / temperature).softmax(-1), (learner[b] / temperature).softmax(-1)
            w = 1.0 if weight is None else weight[b] if weight.dim() == 1 else weight[i, b]
            for c in range(C):
                if mask is None or mask[b, c]:
                    expected = expected + w * p[c] * (p[c].log() - q[c].log())
    expected = expected / (B * C if reduction == "mean" else B)
    options = {"form": form, "reduction": reduction, "temperature": temperature, "detach_teacher": detach}
    value = pairwise_kl(logits, weight=weight, mask=mask, **options)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(v, logits, retain_graph=True)[0] for v in (value, expected))
    )


def test_copies_of_an_image_take_the_place_of_experts() -> None:
    """Ordered pairs of V = 2 copies within each of M = 3 experts, from the logits (M, V*B, C) of a batch of copies."""
    logits = torch.cat((random_logits(3), random_logits(6)[3:]), 1)
    copies = logits.unflatten(1, (2, B)).transpose(0, 1).flatten(1, 2)
    expected = sum(pairwise_kl(torch.stack((z[:B], z[B:]))) for z in logits)
    torch.testing.assert_close(3 * pairwise_kl(copies), expected)


@each_weight
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0, torch.linspace(0.5, 2.0, C, dtype=torch.float64)])
def test_distillation_from_given_logits_agrees_with_a_loop(weight, shared, normalise, temperature) -> None:
    learner, teacher = random_logits(3), random_logits(4)[:3]
    teacher = teacher[:1] if shared else teacher
    expected = torch.zeros(3, dtype=torch.float64)
    for m in range(3):
        drawn = torch.ones(B) if weight is None else weight.expand(3, B)[m]
        for b in range(B):
            z = teacher[0 if shared else m, b]
            p, q = (z / temperature).softmax(-1), (learner[m, b] / temperature).softmax(-1)
            expected[m] += drawn[b] * (p * (p / q).log()).sum()
        expected[m] /= drawn.sum() if normalise else B
    value = kl_divergence(teacher, learner, temperature=temperature, weight=weight, normalise=normalise)
    torch.testing.assert_close(value, expected)


def test_where_no_sample_teaches_nothing_is_learned() -> None:
    learner = random_logits(2).requires_grad_()
    value = kl_divergence(random_logits(3)[:1], learner, weight=torch.zeros(B), normalise=True)
    value.sum().backward()
    assert torch.equal(value, torch.zeros(2, dtype=torch.float64))
    assert learner.grad.abs().max() == 0
