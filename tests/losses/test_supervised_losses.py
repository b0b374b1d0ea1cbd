import math

import pytest
import torch

from longtail.losses import (
    KeyQueue,
    parametric_contrastive,
    positive_pairs,
    sampled_positives,
    simplex_targets,
    supervised_contrastive,
)

M, A, E, D, C = 2, 6, 5, 4, 4
TARGET = torch.tensor([0, 1, 0, 2, 1, 0])
KEY_TARGET = torch.tensor([0, 1, 2, 3, 0])
TEMPERATURES = torch.tensor([0.1, 0.5, 1.0, 0.3, 0.2, 0.7], dtype=torch.float64)


def rows(number: int, seed: int, size: int = D) -> torch.Tensor:
    return torch.randn(M, number, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LOSSES = {
    "alone": lambda f: supervised_contrastive(f, TARGET[: f.shape[1]]),
    "keys": lambda f: supervised_contrastive(f, TARGET[: f.shape[1]], rows(E, 1), KEY_TARGET),
    "balanced": lambda f: supervised_contrastive(
        f, TARGET[: f.shape[1]], rows(E, 1), KEY_TARGET, denominators="class_averaged"
    ),
    "only_keys": lambda f: supervised_contrastive(
        f, TARGET[: f.shape[1]], rows(E, 1), KEY_TARGET, among_anchors=False
    ),
    "parametric": lambda f: parametric_contrastive(
        rows(f.shape[1], 2, C), f, TARGET[: f.shape[1]], rows(E, 1), KEY_TARGET, key_weight=0.05
    ),
}
every = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def cosine(u: torch.Tensor, v: torch.Tensor) -> float:
    return float(u @ v / u.norm() / v.norm())


def loop(
    anchors, target, keys, key_target, *, temperature=0.1, first=True, weight=None, kept=None, averaged=False
):
    """The equation, by loops over experts, anchors and keys; the anchors are the first keys where `first`."""
    losses = []
    for m in range(len(anchors)):
        compared = [*anchors[m], *keys[m]] if first else [*keys[m]]
        labels = target.tolist() + key_target.tolist() if first else key_target.tolist()
        total = 0.0
        for i, y in enumerate(target.tolist()):
            t = float(temperature if isinstance(temperature, float) else temperature[i])
            there = [
                k
                for k in range(len(labels))
                if labels[k] >= 0 and not (first and k == i) and (kept is None or kept[i, k])
            ]
            s = {k: cosine(anchors[m, i], compared[k]) / t for k in there}
            size = {k: sum(labels[j] == labels[k] for j in there) if averaged else 1 for k in there}
            denominator = sum(math.exp(s[k]) / size[k] for k in there)
            a = {k: float(labels[k] == y) if weight is None else float(weight[i, k]) for k in there}
            if sum(a.values()) > 0:
                terms = [-a[k] * (s[k] - math.log(denominator)) for k in there]
                total += sum(terms) / sum(a.values())
        losses.append(total / len(target))
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("temperature", [0.1, TEMPERATURES])
@pytest.mark.parametrize("key_target", [KEY_TARGET, torch.tensor([-1, 1, -1, 3, -1])])
def test_agrees_with_a_loop(first, averaged, temperature, key_target) -> None:
    anchors, keys = rows(A, 0), rows(E, 1)
    value = supervised_contrastive(
        anchors,
        TARGET,
        keys,
        key_target,
        temperature=temperature,
        among_anchors=first,
        denominators="class_averaged" if averaged else "plain",
    )
    options = {"temperature": temperature, "first": first, "averaged": averaged}
    torch.testing.assert_close(value, loop(anchors, TARGET, keys, key_target, **options))


def test_without_keys_the_anchors_are_compared_with_each_other() -> None:
    anchors, none = rows(A, 0), torch.zeros(0, dtype=torch.int64)
    expected = loop(anchors, TARGET, torch.zeros(M, 0, D), none)
    torch.testing.assert_close(supervised_contrastive(anchors, TARGET), expected)


@pytest.mark.parametrize("averaged", [True, False])
def test_weights_and_left_out_pairs_agree_with_a_loop(averaged) -> None:
    generator = torch.Generator().manual_seed(7)
    weight = torch.rand(A, A + E, generator=generator, dtype=torch.float64)
    kept = torch.rand(A, A + E, generator=generator) > 0.4
    anchors, keys = rows(A, 0), rows(E, 1)
    options = {"denominators": "class_averaged" if averaged else "plain"}
    value = supervised_contrastive(anchors, TARGET, keys, KEY_TARGET, positives=weight, valid=kept, **options)
    expected = loop(anchors, TARGET, keys, KEY_TARGET, weight=weight, kept=kept, averaged=averaged)
    torch.testing.assert_close(value, expected)


def test_balanced_denominators_are_those_of_the_paper() -> None:
    """BCL: the anchor's positives are divided by (keys of the class - 1), all others by the keys of their class."""
    anchors, centres = rows(A, 0), rows(C, 1)
    labels = torch.cat((TARGET, torch.arange(C)))
    expected = torch.zeros(M, dtype=torch.float64)
    for m in range(M):
        compared = torch.cat((anchors[m], centres[m]))
        for i in range(A):
            positive = labels.eq(TARGET[i])
            positive[i] = False
            s = torch.tensor([cosine(anchors[m, i], k) / 0.1 for k in compared], dtype=torch.float64)
            size = torch.tensor([(labels == y).sum() for y in labels]) - positive.int()
            terms = s.exp() / size
            terms[i] = 0
            expected[m] -= (s - terms.sum().log())[positive].mean() / A
    value = supervised_contrastive(anchors, TARGET, centres, torch.arange(C), denominators="class_averaged")
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("first", [True, False])
def test_parametric_form_agrees_with_a_loop(first) -> None:
    anchors, keys, logits = rows(A, 0), rows(E, 1), rows(A, 2, C)
    expected = torch.zeros(M, dtype=torch.float64)
    for m in range(M):
        compared = [*anchors[m], *keys[m]] if first else [*keys[m]]
        labels = [*TARGET, *KEY_TARGET] if first else [*KEY_TARGET]
        for i, y in enumerate(TARGET):
            there = [k for k in range(len(labels)) if not (first and k == i)]
            s = [*logits[m, i].tolist(), *(cosine(anchors[m, i], compared[k]) / 0.3 for k in there)]
            a = [*(2.0 * (c == y) for c in range(C)), *(0.05 * (labels[k] == y) for k in there)]
            log_total = math.log(sum(math.exp(value) for value in s))
            terms = [weight * (log_total - value) for weight, value in zip(a, s, strict=True)]
            expected[m] += sum(terms) / sum(a) / A
    options = {"key_weight": 0.05, "own_weight": 2.0, "temperature": 0.3, "among_anchors": first}
    value = parametric_contrastive(logits, anchors, TARGET, keys, KEY_TARGET, **options)
    torch.testing.assert_close(value, expected)


def test_equal_features_cost_the_logarithm_of_the_other_keys() -> None:
    value = supervised_contrastive(torch.ones(1, 5, 3), torch.tensor([0, 0, 1, 1, 0]))
    torch.testing.assert_close(value, torch.tensor([math.log(4)]))
    balanced = supervised_contrastive(
        torch.ones(1, 6, 3), torch.tensor([0, 0, 0, 0, 1, 1]), denominators="class_averaged"
    )
    torch.testing.assert_close(balanced, torch.tensor([math.log(2)]))  # two classes, however many keys


def test_length_of_the_features_and_order_of_the_keys_change_nothing() -> None:
    anchors, keys, order = rows(A, 0), rows(E, 1), torch.tensor([4, 2, 0, 1, 3])
    expected = supervised_contrastive(anchors, TARGET, keys, KEY_TARGET, denominators="class_averaged")
    value = supervised_contrastive(
        anchors * 7, TARGET, keys[:, order] / 3, KEY_TARGET[order], denominators="class_averaged"
    )
    torch.testing.assert_close(value, expected)
    shuffled = torch.tensor([5, 3, 1, 0, 2, 4])
    torch.testing.assert_close(
        supervised_contrastive(anchors[:, shuffled], TARGET[shuffled]),
        supervised_contrastive(anchors, TARGET),
    )


def test_a_queue_that_is_not_full_is_as_short_as_what_was_pushed() -> None:
    anchors, keys, queue = rows(A, 0).float(), rows(E, 1).float(), KeyQueue(9, D, M)
    empty = supervised_contrastive(anchors, TARGET, queue.keys, queue.key_target)
    torch.testing.assert_close(empty, supervised_contrastive(anchors, TARGET))
    queue.push(keys, KEY_TARGET)
    for options in ({}, {"denominators": "class_averaged"}, {"among_anchors": False}):
        value = supervised_contrastive(anchors, TARGET, queue.keys, queue.key_target, **options)
        torch.testing.assert_close(
            value, supervised_contrastive(anchors, TARGET, keys, KEY_TARGET, **options)
        )


@every
def test_experts_are_independent(loss) -> None:
    anchors = rows(A, 0)
    value = loss(anchors)
    alone = [loss(torch.stack([one] * M)) for one in anchors]
    torch.testing.assert_close(value, torch.stack([one[m] for m, one in enumerate(alone)]))


@every
def test_gradients(loss) -> None:
    assert torch.autograd.gradcheck(loss, rows(A, 0).requires_grad_())


@every
@pytest.mark.parametrize("size", [1, 2, A])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e4])
def test_extreme_features_and_small_batches_stay_finite(loss, size, scale) -> None:
    """Zero features, and anchors without a positive or without any key."""
    anchors = (rows(size, 0) * scale).float().requires_grad_()
    value = loss(anchors)
    value.sum().backward()
    assert value.isfinite().all()
    assert (value >= 0).all()
    assert anchors.grad.isfinite().all()


def test_an_anchor_alone_costs_nothing() -> None:
    for target in ([0], [0, 1, 2]):
        anchors = rows(len(target), 0).requires_grad_()
        value = supervised_contrastive(anchors, torch.tensor(target))
        value.sum().backward()
        assert torch.equal(value, torch.zeros(M, dtype=torch.float64))
        assert anchors.grad.abs().max() == 0


def test_huge_logits_of_the_parametric_form_stay_finite() -> None:
    logits = torch.full((M, A, C), -1e4)
    logits[..., 3] = 1e4
    logits.requires_grad_()
    value = parametric_contrastive(
        logits, rows(A, 0).float(), TARGET, rows(E, 1).float(), KEY_TARGET, key_weight=0.1
    )
    value.sum().backward()
    assert value.isfinite().all()
    assert (value > 1e3).all()
    assert logits.grad.isfinite().all()


@every
def test_half_precision_is_computed_in_float32(loss) -> None:
    half = rows(A, 0).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float()), rtol=0, atol=0)


def test_one_step_brings_a_class_together() -> None:
    anchors = rows(A, 3).requires_grad_()
    supervised_contrastive(anchors, TARGET).sum().backward()
    moved = anchors.detach() - 0.05 * anchors.grad
    assert (supervised_contrastive(moved, TARGET) < supervised_contrastive(anchors, TARGET)).all()


def test_sampled_positives_are_some_of_the_pairs() -> None:
    target = torch.tensor([0] * 7 + [1] * 2 + [2])
    pairs = positive_pairs(target)
    assert pairs.sum(1).tolist() == [6] * 7 + [1] * 2 + [0]
    chosen = set()
    for seed in range(50):
        draws = torch.rand(pairs.shape, generator=torch.Generator().manual_seed(seed))
        some = sampled_positives(pairs, draws, 3)
        assert (pairs | ~some).all()
        assert some.sum(1).tolist() == [3] * 7 + [1] * 2 + [0]
        chosen |= set(some[0].nonzero().flatten().tolist())
        always = torch.zeros_like(pairs)
        always[torch.arange(7), (torch.arange(7) + 1) % 7] = True
        assert sampled_positives(pairs, draws.masked_fill(always, -1.0), 3)[always].all()
    assert chosen == set(range(1, 7))
    assert torch.equal(sampled_positives(pairs, draws, 99), pairs)


@pytest.mark.parametrize(("classes", "dim"), [(2, 1), (2, 5), (3, 2), (10, 128), (100, 128), (129, 128)])
def test_targets_are_a_regular_simplex(classes, dim) -> None:
    targets = simplex_targets(classes, dim)
    expected = torch.full((classes, classes), -1 / (classes - 1)).fill_diagonal_(1.0)
    torch.testing.assert_close(targets @ targets.T, expected, rtol=0, atol=1e-6)


def test_no_targets_found_by_descent_are_better() -> None:
    """The uniformity loss of TSC, mean_i log sum_j exp(t_i . t_j / 0.07), is at its minimum."""

    def uniformity(vectors: torch.Tensor) -> torch.Tensor:
        directions = torch.nn.functional.normalize(vectors, dim=-1)
        return (directions @ directions.T / 0.07).logsumexp(1).mean()

    best = uniformity(simplex_targets(5, 4))
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([vectors], 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        uniformity(vectors).backward()
        optimizer.step()
    assert best <= uniformity(vectors) + 1e-6
    assert uniformity(vectors) < best + 0.05  # descent did come near


@pytest.mark.parametrize(("classes", "dim"), [(1, 4), (6, 4), (130, 128)])
def test_targets_that_do_not_fit_are_refused(classes, dim) -> None:
    with pytest.raises(ValueError, match=f"{dim} dimensions"):
        simplex_targets(classes, dim)
