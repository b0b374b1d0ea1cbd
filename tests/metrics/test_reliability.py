"""Reliability and coverage: bins of equal mass, bands that true confidences keep, hand numbers."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from longtail.metrics.reliability import equal_mass_bins, risk_coverage


def made_up(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    confidence = rng.beta(5, 2, images)
    return confidence, rng.random(images) < confidence


@pytest.mark.parametrize(("images", "bins"), [(40, 1), (200, 4), (749, 14), (750, 15), (5000, 15)])
def test_bins_are_of_equal_mass(images: int, bins: int) -> None:
    confidence, right = made_up(images)
    found = equal_mass_bins(confidence, right)
    assert len(found.images) == bins
    assert found.images.sum() == images
    assert found.images.max() - found.images.min() <= 1
    assert (found.images * found.accuracy).sum() == pytest.approx(right.sum())
    assert (np.diff(found.confidence) > 0).all()


def test_the_curve_is_sklearns() -> None:
    confidence, right = made_up(1500)
    found = equal_mass_bins(confidence, right)
    accuracy, mean = calibration_curve(right, confidence, n_bins=15, strategy="quantile")
    assert found.accuracy == pytest.approx(accuracy, abs=0.011)
    assert found.confidence == pytest.approx(mean, abs=0.003)


def test_equal_confidences_stay_together() -> None:
    confidence = np.concatenate([np.full(400, 1.0), np.linspace(0.2, 0.8, 200)])
    right = np.arange(600) % 3 > 0
    found = equal_mass_bins(confidence, right)
    assert found.images.max() >= 400
    assert found.accuracy[-1] == right[:400].mean()
    alone = equal_mass_bins(np.ones(300), np.ones(300, bool))
    assert (alone.images.tolist(), alone.low.tolist(), alone.high.tolist()) == ([300], [1.0], [1.0])


def test_true_confidences_keep_within_the_band_and_boasts_do_not() -> None:
    inside, boasting = [], []
    for seed in range(30):
        confidence, right = made_up(1000, seed)
        found = equal_mass_bins(confidence, right, seed=seed)
        inside.append((found.low <= found.accuracy) & (found.accuracy <= found.high))
        found = equal_mass_bins(confidence**0.25, right)
        boasting.append((found.low <= found.accuracy) & (found.accuracy <= found.high))
    assert 0.92 <= np.mean(inside) <= 0.99
    assert np.mean(boasting) < 0.3


def test_coverage_and_error_by_hand() -> None:
    confidence = np.array([0.9, 0.5, 0.7, 0.5, 0.2])
    curve = risk_coverage(confidence, np.array([True, False, False, True, True]))
    assert curve.threshold.tolist() == [0.9, 0.7, 0.5, 0.2]
    assert curve.coverage[0].tolist() == pytest.approx([0.2, 0.4, 0.8, 1.0])
    assert curve.error[0].tolist() == pytest.approx([0, 0.5, 0.5, 0.4])
    assert [curve.at(share) for share in (1.0, 0.8, 0.5, 0.4, 0.01)] == [3, 2, 2, 1, 0]
    assert len(risk_coverage(np.array([]), np.array([], bool)).coverage[0]) == 0


def test_risk_and_coverage_by_group_are_what_counting_gives() -> None:
    rng = np.random.default_rng(0)
    confidence = np.round(rng.random(137), 2)  # with ties
    right, group = rng.random(137) < 0.6, rng.integers(0, 2, 137)
    curve = risk_coverage(confidence, right, group, 3)
    assert curve.threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for place, threshold in enumerate(curve.threshold):
        kept = confidence >= threshold
        assert curve.images[0, place] == kept.sum()
        for number in range(2):
            own = kept & (group == number)
            assert curve.images[number + 1, place] == own.sum()
            assert curve.wrong[number + 1, place] == (own & ~right).sum()
            assert curve.coverage[number + 1, place] == own.sum() / (group == number).sum()
    assert np.isnan(curve.coverage[3]).all()
    assert np.isnan(curve.error[3]).all()
