"""Which classes stand out: fits and tails against scipy, and what is claimed where all classes are equal."""

import numpy as np
import pytest
from scipy.stats import betabinom, binom, false_discovery_control

from longtail.metrics.ranking import (
    benjamini_hochberg,
    beta_binomial,
    shrunken,
    singled_out,
    spread_chance,
    tails,
)


def test_the_fit_is_the_most_likely_beta_binomial() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(5, 60, 300)
    correct = rng.binomial(images, rng.beta(6, 4, 300))
    mean, size = beta_binomial(correct, images)
    assert (mean, size) == pytest.approx((0.6, 10), rel=0.25)

    def likelihood(m: float, s: float) -> float:
        return float(betabinom.logpmf(correct, images, m * s, (1 - m) * s).sum())

    best = likelihood(mean, size)
    others = [(mean + 0.01, size), (mean - 0.01, size), (mean, 1.1 * size), (mean, size / 1.1)]
    assert all(best >= likelihood(*other) for other in others)


@pytest.mark.parametrize(
    ("correct", "images"),
    [([0, 0, 0], [20, 20, 20]), ([5], [9]), ([3, 3], [3, 3]), ([0, 50, 0], [50, 50, 50])],
)
def test_extreme_groups_are_fitted(correct: list[int], images: list[int]) -> None:
    mean, size = beta_binomial(np.array(correct), np.array(images))
    assert mean == pytest.approx(sum(correct) / sum(images), abs=0.05)
    assert np.isfinite(size)


def test_few_images_move_a_class_little_and_order_follows_evidence() -> None:
    score = shrunken(np.array([0, 2, 30]), np.array([1, 20, 100]), 0.6, 10.0)
    assert score.tolist() == pytest.approx([6 / 11, 8 / 30, 36 / 110])
    assert np.argsort(score).tolist() == [1, 2, 0]


def test_tails_are_the_binomials() -> None:
    n = np.array([1, 3, 20, 100, 20, 20])
    k, p = np.array([0, 3, 7, 55, 0, 20]), np.array([0.5, 0.9, 0.4, 0.6, 0.2, 0.7])
    low, high = tails(k, n, p)
    assert low == pytest.approx(binom.cdf(k, n, p))
    assert high == pytest.approx(binom.sf(k - 1, n, p))


def test_the_selection_is_scipys() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        chance = np.concatenate([rng.random(30), rng.random(5) / 200])
        assert (benjamini_hochberg(chance) == (false_discovery_control(chance) <= 0.1)).all()
    assert not benjamini_hochberg(np.array([])).any()


@pytest.mark.parametrize(
    "images", [np.full(100, 40), np.geomspace(10, 2000, 100).astype(int)], ids=["even", "uneven"]
)
def test_no_class_is_singled_out_where_all_are_equal(images: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    wrongly = 0
    for _ in range(300):
        correct = rng.binomial(images, 0.7)
        weak, strong, _ = singled_out(correct, images, np.arange(100) % 3)
        wrongly += bool(weak.any() or strong.any())
    assert wrongly / 300 <= 0.1


def test_an_outlier_does_not_make_the_others_strong() -> None:
    images = np.full(10, 100)
    correct = np.array([20, 78, 79, 80, 80, 81, 82, 83, 84, 85])
    weak, strong, _ = singled_out(correct, images, np.zeros(10, int))
    assert weak.tolist() == [True] + [False] * 9
    assert not strong.any()


def test_a_huge_class_does_not_stand_out_against_a_few_small_ones() -> None:
    correct, images, group = (
        np.array([850, 10, 11, 90]),
        np.array([1000, 15, 15, 100]),
        np.array([0, 0, 0, 1]),
    )
    weak, strong, chance = singled_out(correct, images, group)
    assert not (weak | strong).any()
    assert chance[3] == 1


def test_at_most_a_tenth_of_the_named_classes_is_named_wrongly() -> None:
    rng, images = np.random.default_rng(5), np.full(100, 50)
    truth = np.where(np.arange(100) < 15, 0.35, 0.75)
    false, found = [], []
    for _ in range(200):
        weak, strong, _ = singled_out(rng.binomial(images, truth), images, np.arange(100) % 2)
        named = weak | strong
        false.append(named[15:].sum() / max(1, named.sum()))
        found.append(weak[:15].mean())
        assert not strong[:15].any()
    assert np.mean(false) <= 0.1
    assert np.mean(found) >= 0.9


def test_equal_classes_rarely_seem_to_differ_and_unequal_ones_do() -> None:
    rng = np.random.default_rng(6)
    images, group = rng.integers(1, 40, 60), np.repeat([0, 1, 2], 20)
    rate = np.array([0.9, 0.6, 0.3])[group]
    equal = [spread_chance(rng.binomial(images, rate), images, group, seed=s) for s in range(150)]
    assert np.mean(np.array(equal) < 0.05) <= 0.09
    spread = rng.binomial(images, np.clip(rate + rng.choice([-0.25, 0.25], 60), 0, 1))
    assert spread_chance(spread, images, group) < 0.01
    assert spread_chance(np.array([3, 3]), np.array([3, 3]), np.array([0, 0])) == 1
