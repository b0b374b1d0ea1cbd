"""Counts of long tails, and which images they keep."""

import math

import numpy as np
import pytest

from longtail.data import DataOptions, load_data, long_tailed_counts
from longtail.data.profiles import subsample
from longtail.types import InputError

PUBLISHED = [
    (100, 500, 100, 10_847, 5, (35, 35, 30)),
    (100, 500, 50, 12_608, 10, (41, 41, 18)),
    (100, 500, 10, 19_573, 50, (69, 31, 0)),
    (10, 5000, 100, 12_406, 50, (8, 2, 0)),
    (10, 5000, 50, 13_996, 100, (9, 1, 0)),
    (10, 5000, 10, 20_431, 500, (10, 0, 0)),
]


@pytest.mark.parametrize(("classes", "largest", "factor", "total", "smallest", "groups"), PUBLISHED)
def test_exponential_counts_are_the_published_ones(classes, largest, factor, total, smallest, groups):
    counts = long_tailed_counts(classes, largest, factor)
    many, few = int((counts > 100).sum()), int((counts < 20).sum())
    assert (int(counts[0]), int(counts[-1]), int(counts.sum())) == (largest, smallest, total)
    assert (many, classes - many - few, few) == groups


@pytest.mark.parametrize("factor", [1, 2, 7, 10, 50, 100, 200, 256])
def test_exponential_counts_are_those_of_the_usual_code(factor):
    usual = [int(500 * ((1 / factor) ** (c / (100 - 1.0)))) for c in range(100)]
    assert long_tailed_counts(100, 500, factor).tolist() == usual


@pytest.mark.parametrize("profile", ["exponential", "pareto", "step"])
def test_every_profile_falls_from_the_largest_to_the_smallest(profile):
    counts = long_tailed_counts(100, 500, 100, profile)
    assert (int(counts[0]), int(counts[-1])) == (500, 5)
    assert bool((counts.diff() <= 0).all())
    assert long_tailed_counts(7, 30, 1, profile).tolist() == [30] * 7


def test_step_halves_the_classes_and_gives_the_middle_one_to_the_small():
    assert long_tailed_counts(4, 100, 10, "step").tolist() == [100, 100, 10, 10]
    assert long_tailed_counts(5, 100, 10, "step").tolist() == [100, 100, 10, 10, 10]


def test_pareto_resembles_imagenet_lt():
    assert int(long_tailed_counts(1000, 1280, 256, "pareto").sum()) == 121_449


def test_pareto_by_hand():
    root = 3 ** (1 / 6) - 1
    middle = 10 + 90 * ((3 / 2) ** (1 / 6) - 1) / root
    assert long_tailed_counts(3, 100, 10, "pareto").tolist() == [100, int(middle), 10]


@pytest.mark.parametrize("factor", [0.5, 0.0, -3, math.nan, math.inf])
def test_an_imbalance_factor_below_one_is_refused(factor):
    with pytest.raises(InputError, match=r"imbalance_factor is .*>= 1"):
        long_tailed_counts(10, 100, factor)


def test_a_tail_without_images_is_refused():
    with pytest.raises(InputError, match=r"imbalance_factor 200 leaves no image.*at most 120"):
        long_tailed_counts(10, 120, 200)
    assert long_tailed_counts(10, 49, 49)[-1] == 1  # 49 * (1 / 49) is a little less than 1


def test_one_class_has_no_tail():
    with pytest.raises(InputError, match="at least 2 classes"):
        long_tailed_counts(1, 100, 10)


TARGETS = np.repeat([0, 1, 2], 10)
NAMES = ("ant", "bee", "cow")


def options(**values):
    return DataOptions(name="digits", **values)


def test_first_keeps_the_first_of_each_class_in_file_order():
    mixed = np.array([2, 0, 1, 1, 0, 2, 0, 0])
    kept = subsample(mixed, NAMES, options(imbalance_factor=2, max_count=2))
    assert kept.tolist() == [0, 1, 2, 4]  # 2, 1 and 1 images


def test_shuffle0_is_the_published_draw():
    np.random.seed(0)  # noqa: NPY002 - what the published code does
    published = []
    for c, count in enumerate(long_tailed_counts(3, 10, 10).tolist()):
        rows = np.where(c == TARGETS)[0]
        np.random.shuffle(rows)  # noqa: NPY002
        published += rows[:count].tolist()
    kept = subsample(TARGETS, NAMES, options(imbalance_factor=10, subset="shuffle0"))
    assert kept.tolist() == sorted(published)
    assert kept.tolist() != subsample(TARGETS, NAMES, options(imbalance_factor=10)).tolist()


def test_seeded_draws_another_subset_for_each_seed_and_the_same_for_the_same():
    def kept(seed):
        drawn = subsample(TARGETS, NAMES, options(imbalance_factor=10, subset="seeded", subset_seed=seed))
        return drawn.tolist()

    assert kept(1) == kept(1)
    assert kept(1) != kept(2)


def test_counts_stay_without_an_imbalance_factor_and_max_count_caps_them():
    assert len(subsample(TARGETS, NAMES, options())) == 30
    assert subsample(TARGETS, NAMES, options(max_count=2)).tolist() == [0, 1, 10, 11, 20, 21]


def test_asking_for_more_than_there_is_names_the_class():
    with pytest.raises(InputError, match=r"class ant has 10 images but 12 are asked for; lower"):
        subsample(TARGETS, NAMES, options(imbalance_factor=10, max_count=12))
    with pytest.raises(InputError, match=r"class ant has 10 .* 20 are asked for \(likewise 2 more classes"):
        subsample(TARGETS, NAMES, options(imbalance_factor=1, max_count=20))


PINNED = {
    "first": "b3b3ad048a7cd899b4886490c27b0b2098dad5295fc8f7b7eb8717db78b72fa6",
    "shuffle0": "5ae5087df300081e064590161d2fdc11de493c9b40d5e730a6086f83d693ab19",
    "seeded": "7e479526797cfd1d757d692ee54a22cbc2335f0a3da4fd68218c7f3dd4cd9560",
}


@pytest.mark.parametrize("subset", PINNED)
def test_the_images_chosen_of_the_digits_never_change(subset):
    data = load_data(DataOptions(name="digits", imbalance_factor=10, subset=subset))
    assert data.index_hash == PINNED[subset]
