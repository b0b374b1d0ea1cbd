"""Paired differences: hand numbers, and intervals that hold the truth."""

import numpy as np
import pytest
from scipy.stats import t

from longtail.metrics.pairs import macro_weights, mcnemar, paired_gain, paired_gain_of_runs


def test_macro_weights_give_the_mean_recall() -> None:
    target, right = np.array([0, 0, 0, 0, 1, 2, 2]), np.array([1, 1, 1, 0, 1, 0, 1], bool)
    weight = macro_weights(target, np.array([True, True, False, True]))
    assert weight.sum() == pytest.approx(1)
    assert (weight * right).sum() == pytest.approx((0.75 + 1.0) / 2)
    assert not macro_weights(target, np.array([False, False, False, True])).any()


def test_only_images_that_differ_count() -> None:
    weight = np.full(10, 0.1)
    right, other = np.array([True] * 6 + [False] * 4), np.array([True] * 4 + [False] * 5 + [True])
    value, low, high = paired_gain(right, other, weight)
    assert value == pytest.approx(0.1)
    half = 1.959964 * ((3 - 10 * 0.1**2) / 100 + 0.01) ** 0.5
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half))


def test_no_difference_is_not_certainty() -> None:
    right, weight = np.ones(20, bool), np.full(20, 0.05)
    value, low, high = paired_gain(right, right, weight)
    assert value == 0
    assert -0.2 < low < -0.05 < 0.05 < high < 0.2


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("images", [3, 30])
def test_the_interval_holds_the_true_gain(images: int, times: int) -> None:
    rng, target = np.random.default_rng(7), np.repeat(np.arange(40), images)
    gains = rng.uniform(-0.05, 0.2, 40)
    weight = macro_weights(np.repeat(target, times), np.ones(40, bool))
    held = []
    for _ in range(400):
        draw = rng.random(len(target))
        first, second = draw < 0.5 + gains[target], rng.random(len(target)) < 0.0
        second = np.where(rng.random(len(target)) < 0.8, draw < 0.5, rng.random(len(target)) < 0.5) | second
        source = np.repeat(np.arange(len(target)), times) if times > 1 else None
        found = paired_gain(np.repeat(first, times), np.repeat(second, times), weight, source)
        held.append(found[1] <= gains.mean() <= found[2])
    assert np.mean(held) >= 0.93


def test_mcnemar_by_hand() -> None:
    right = np.array([True] * 9 + [False] + [True] * 30)
    other = np.array([False] * 9 + [True] + [True] * 30)
    assert mcnemar(right, other) == pytest.approx(22 / 1024)
    assert mcnemar(right, right) == 1


def test_several_runs_add_the_spread_between_them() -> None:
    rng, weight = np.random.default_rng(0), np.full(400, 1 / 400)
    right, other = rng.random((3, 400)) < 0.7, rng.random((3, 400)) < 0.6
    value, low, high = paired_gain_of_runs(right, other, weight)
    each = right.mean(1) - other.mean(1)
    assert value == pytest.approx(each.mean())
    gain = (right.astype(float) - other).mean(0)
    of_images, of_runs = ((gain - value) ** 2).sum() / 400**2 + 1 / 400**2, each.var(ddof=1) / 3
    freedom = (of_images + of_runs) ** 2 / (of_images**2 / 399 + of_runs**2 / 2)
    half = t.ppf(0.975, freedom) * (of_images + of_runs) ** 0.5
    assert (low, high) == pytest.approx((value - half, value + half))
    assert paired_gain_of_runs(right[:1], other[:1], weight) == paired_gain(right[0], other[0], weight)


def test_the_interval_of_runs_holds_the_true_gain_where_runs_and_images_vary() -> None:
    rng, weight, held = np.random.default_rng(1), np.full(500, 1 / 500), []
    for _ in range(200):
        image, runs = rng.normal(0.5, 0.2, 500), rng.normal(0, 0.03, (2, 3, 1))
        right, other = (
            rng.random((3, 500)) < image + shift + run for shift, run in zip((0.1, 0.0), runs, strict=True)
        )
        _, low, high = paired_gain_of_runs(right, other, weight)
        held.append(low <= 0.1 <= high)
    assert np.mean(held) >= 0.93
