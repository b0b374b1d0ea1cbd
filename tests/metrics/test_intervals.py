"""Intervals against scipy and hand numbers, and whether they hold what they promise on made-up rates."""

import numpy as np
import pytest
from scipy.stats import binomtest

from longtail.metrics.intervals import (
    effective_images,
    macro_interval,
    smoothed_variance,
    source_bootstrap,
    wilson,
)


@pytest.mark.parametrize(("correct", "images"), [(0, 20), (1, 1), (0, 1), (7, 9), (80, 100), (300, 300)])
def test_wilson_is_scipys(correct: int, images: int) -> None:
    low, high = wilson(np.array([correct]), np.array([images]))
    wanted = binomtest(correct, images).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_none_of_twenty_is_at_most_16_per_cent() -> None:
    _, high = wilson(np.array([0]), np.array([20]))
    assert f"{100 * high[0]:.0f}" == "16"


def test_nothing_tested_has_no_interval() -> None:
    low, high = wilson(np.array([0, 1]), np.array([0, 2]))
    assert np.isnan([low[0], high[0]]).all()
    assert not np.isnan([low[1], high[1]]).any()
    assert np.isnan(macro_interval(np.array([]), np.array([]))).all()


def test_the_variance_of_a_class_of_one_is_not_zero() -> None:
    assert smoothed_variance(np.array([1, 0]), np.array([1, 1])).tolist() == [0.1875, 0.1875]


def test_the_mean_of_one_class_has_the_class_s_interval() -> None:
    low, high = wilson(np.array([7]), np.array([9]))
    assert macro_interval(np.array([7]), np.array([9])) == pytest.approx((low[0], high[0]))


@pytest.mark.parametrize(
    ("classes", "images", "rates"),
    [
        (10, 100, (0.5, 0.99)),
        (10, 20, (0.2, 0.9)),
        (100, 1, (0.2, 0.9)),
        (100, 3, (0.6, 1.0)),
        (3, 5, (0.7, 0.9)),
    ],
)
def test_the_interval_of_a_mean_holds_the_true_mean(
    classes: int, images: int, rates: tuple[float, float]
) -> None:
    rng = np.random.default_rng(1)
    rate = rng.uniform(*rates, classes)
    n = np.full(classes, images)
    ends = np.array([macro_interval(rng.binomial(n, rate), n) for _ in range(1500)])
    held = ((ends[:, 0] <= rate.mean()) & (rate.mean() <= ends[:, 1])).mean()
    assert held >= 0.93
    assert (ends[:, 1] - ends[:, 0]).mean() < 6 * (rate * (1 - rate) / images).sum() ** 0.5 / classes


def copies(images: int, times: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of which each is there several times: right (N,), target (N,), source (N,)."""
    rng = np.random.default_rng(2)
    target = rng.integers(0, classes, images)
    right = rng.random(images) < 0.7
    return tuple(np.repeat(part, times) for part in (right, target, np.arange(images)))  # type: ignore[return-value]


@pytest.mark.parametrize("times", [1, 5])
def test_copies_of_an_image_are_worth_one(times: int) -> None:
    right, target, source = copies(800, times)
    worth, sources = effective_images(right, target, source, 4)
    assert sources.sum() == 800
    assert worth == pytest.approx(sources, rel=0.02)


def test_few_sources_count_as_one_image_each() -> None:
    right, target = (
        np.tile([True, False, True, True, True, True, False, True, True, True], 10),
        np.zeros(100, int),
    )
    worth, sources = effective_images(right, target, np.arange(100) % 2, 3)
    assert worth.tolist() == [2, 0, 0]
    assert sources.tolist() == [2, 0, 0]


def test_drawing_whole_sources_widens_the_interval() -> None:
    chosen = np.ones((1, 4), bool)
    widths = []
    for times in (1, 5):
        right, target, source = copies(400, times)
        ends = source_bootstrap(right, target, source, chosen)
        low, high = wilson(np.array([right.sum()]), np.array([len(right)]))
        widths.append(float((ends[0, 1] - ends[0, 0]) / (high[0] - low[0])))
        macro = np.mean([right[target == c].mean() for c in range(4)])
        assert ends[1, 0] < macro < ends[1, 1]
    assert widths == pytest.approx([1.0, 5**0.5], rel=0.1)


def test_a_set_without_images_has_no_interval() -> None:
    right, target, source = copies(50, 1, classes=2)
    ends = source_bootstrap(right, target, source, np.array([[True, True, False], [False, False, True]]))
    assert np.isnan(ends).any(1).tolist() == [False, False, True]


def test_a_weighted_mean_of_classes() -> None:
    correct, images = np.array([7, 2, 0]), np.array([9, 8, 5])
    equal = np.full(3, 1 / 3)
    assert macro_interval(correct, images, equal) == pytest.approx(macro_interval(correct, images))
    low, high = wilson(correct, images)
    assert macro_interval(correct, images, np.array([0.0, 1.0, 0.0])) == pytest.approx((low[1], high[1]))
    rng, rates, n = np.random.default_rng(0), np.array([0.9, 0.6, 0.3]), np.array([40, 40, 40])
    share = np.array([0.7, 0.2, 0.1])
    ends = np.array([macro_interval(rng.binomial(n, rates), n, share) for _ in range(1500)])
    covered = ((ends[:, 0] <= share @ rates) & (share @ rates <= ends[:, 1])).mean()
    assert 0.93 < covered < 0.99
