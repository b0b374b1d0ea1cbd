"""Macro recall and its differences: what chance explains is no difference."""

import numpy as np
import pytest

from longtail.search.comparison import difference, macro, units_of

TARGETS = np.repeat([0, 1, 3], [60, 60, 4])


def test_macro_is_the_mean_over_classes_that_have_images() -> None:
    right = np.concatenate([np.ones(60), np.zeros(60), np.ones(2), np.zeros(2)]).astype(bool)
    value, low, high = macro(right, TARGETS)
    assert value == pytest.approx((1 + 0 + 0.5) / 3)
    assert low < value < high


def test_a_difference_has_the_sign_of_the_better_one_and_is_antisymmetric() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(124) < 0.9, rng.random(124) < 0.3
    found, turned = difference(one, other, TARGETS), difference(other, one, TARGETS)
    assert found.is_better
    assert not turned.is_better
    assert (found.value, found.low) == pytest.approx((-turned.value, -turned.high))


def test_alike_answers_are_a_tie_however_good() -> None:
    right = np.ones(124, bool)
    found = difference(right, right, TARGETS)
    assert found.value == 0
    assert found.low < 0 < found.high


def test_what_both_name_alike_adds_little_to_the_interval() -> None:
    rng = np.random.default_rng(1)
    one = rng.random(124) < 0.5
    apart = one.copy()
    apart[:3] ^= True
    unlike = rng.random(124) < 0.5
    near, far = difference(one, apart, TARGETS), difference(one, unlike, TARGETS)
    assert near.high - near.low < 0.8 * (far.high - far.low)


def test_intervals_of_equally_good_settings_hold_zero_about_as_often_as_they_say() -> None:
    rng, misses = np.random.default_rng(2), 0
    targets = np.repeat(np.arange(5), 30)
    for _ in range(400):
        found = difference(rng.random(150) < 0.6, rng.random(150) < 0.6, targets)
        misses += not found.low <= 0 <= found.high
    assert misses <= 0.09 * 400


def test_images_of_a_group_are_no_independent_evidence() -> None:
    """Groups of ten equal images: intervals as wide as of one image each, and right about as often as they say."""
    rng, misses, naive = np.random.default_rng(3), 0, 0
    targets, units = np.repeat(np.arange(4), 200), np.repeat(np.arange(80), 10)
    for _ in range(200):
        one, other = (np.repeat(rng.random(80) < 0.6, 10) for _ in range(2))
        grouped, plain = difference(one, other, targets, units), difference(one, other, targets)
        misses += not grouped.low <= 0 <= grouped.high
        naive += not plain.low <= 0 <= plain.high
        assert grouped.high - grouped.low > 2 * (plain.high - plain.low)
    assert misses <= 0.1 * 200 < naive
    low, high = macro(one, targets, units)[1:]
    assert high - low > 2 * (macro(one, targets)[2] - macro(one, targets)[1])


def test_images_by_themselves_are_their_own_units() -> None:
    assert units_of(None, np.arange(3)) is None
    assert units_of(["", "", "b"], np.arange(3)) is None
    found = units_of(["a", "", "a", "b"], np.array([0, 1, 2]))
    assert found is not None
    assert (found[0] == found[2], len(set(found))) == (True, 2)
