"""The tables against the published policy and the definitions, and the choice of rows from draws."""

import numpy as np
import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from longtail.augment import Augment
from longtail.augment.policies import CIFAR10_POLICY, RANDAUGMENT_OPERATIONS, operation
from longtail.augment.random import draw_bits
from longtail.augment.sampling import NOTHING, autoaugment, randaugment


def test_policy_is_the_published_one() -> None:
    published = AutoAugment(AutoAugmentPolicy.CIFAR10).policies
    assert len(CIFAR10_POLICY) == len(published) == 25
    for ours, theirs in zip(CIFAR10_POLICY, published, strict=True):
        for choice, (name, probability, level) in zip(ours, theirs, strict=True):
            assert choice.name.replace("_", "") == name.lower()
            assert choice.probability == probability
            assert level is None or choice.level == level


@pytest.mark.parametrize(
    ("name", "last", "first"),
    [
        ("shear_x", 0.3, 0),
        ("translate_y", 150 / 331, 0),
        ("rotate", 30, 0),
        ("color", 1.9, 1),
        ("solarize", 0, 256),
    ],
)
def test_magnitudes_are_evenly_spaced(name: str, last: float, first: float) -> None:
    values = [operation(name, level, 9, 1).value for level in range(10)]
    np.testing.assert_allclose(values, np.linspace(first, last, 10), rtol=1e-12)


def test_posterize_bits_and_negative_signs() -> None:
    bits = [operation("posterize", level, 9, -1).value for level in range(10)]
    assert bits == np.round(np.linspace(8, 4, 10)).tolist()
    assert operation("sharpness", 9, 9, -1).value == pytest.approx(0.1)
    assert operation("rotate", 3, 9, -1).value == pytest.approx(-10)
    assert operation("equalize", 7, 9, -1).value == 0


def expected_shares() -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    shares: list[dict[str, float]] = [{}, {}]
    for sub_policy in CIFAR10_POLICY:
        for step, choice in enumerate(sub_policy):
            share = shares[step].get(choice.name, 0.0) + choice.probability / 25
            shares[step][choice.name] = share
    names = RANDAUGMENT_OPERATIONS
    return shares, [dict.fromkeys(names, 1 / len(names))] * 3


@pytest.mark.parametrize("kind", ["autoaugment", "randaugment"])
def test_operations_come_as_often_as_the_policy_says(kind: str) -> None:
    policy = autoaugment(5) if kind == "autoaugment" else randaugment(5, 3, 10)
    expected = expected_shares()[kind == "randaugment"]
    bits = draw_bits(torch.arange(200_000), 16, Augment.keys(3, 0, 0, "cpu"))
    assert policy.operations[0] == NOTHING
    assert len(policy.steps) == len(expected)
    for step, shares in zip(policy.steps, expected, strict=True):
        counts = torch.bincount(step.rows(bits), minlength=len(policy.operations)).tolist()
        found: dict[str, float] = {}
        for one, count in zip(policy.operations, counts, strict=True):
            found[one.name] = found.get(one.name, 0.0) + count / 200_000
        for name, share in shares.items():
            if name != "identity":
                assert found.get(name, 0.0) == pytest.approx(share, abs=0.003), name


def test_steps_draw_independently() -> None:
    bits = draw_bits(torch.arange(100_000), 11, Augment.keys(1, 0, 0, "cpu"))
    first, second = (step.rows(bits) for step in autoaugment(5).steps)
    both = sum(a.probability * b.probability for a, b in CIFAR10_POLICY) / 25
    assert float(((first > 0) & (second > 0)).double().mean()) == pytest.approx(both, abs=0.006)
    first, second = (step.rows(bits) for step in randaugment(5, 2, 10).steps)
    assert float((first == second).double().mean()) < 0.1


def test_both_steps_belong_to_one_sub_policy_and_signs_are_even() -> None:
    policy = autoaugment(5)
    bits = draw_bits(torch.arange(50_000), 11, Augment.keys(0, 0, 0, "cpu"))
    first, second = ([policy.operations[row] for row in step.rows(bits).tolist()] for step in policy.steps)
    pairs = {(a.name, b.name) for a, b in CIFAR10_POLICY}
    seen = {(a.name, b.name) for a, b in zip(first, second, strict=True) if NOTHING not in (a, b)}
    assert seen <= pairs
    assert len(seen) > 15
    shears = torch.tensor([one.value for one in first if one.name == "shear_y"])
    assert len(shears) > 1000
    assert abs((shears > 0).double().mean() - 0.5) < 0.05
