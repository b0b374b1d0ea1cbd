"""Which images go to which part."""

import numpy as np
import pytest

from longtail.data.assigning import TEST, TRAIN, VAL, assign, far_from_wanted, wanted_of


def counted(targets, parts):
    return np.stack(
        [np.bincount(targets[parts == p], minlength=targets.max() + 1) for p in (TRAIN, VAL, TEST)], axis=1
    )


def test_shares_of_each_class():
    targets = np.repeat(np.arange(5), [100, 10, 3, 2, 1])
    parts = assign(targets, 5, test=0.2, val=0.1)
    assert counted(targets, parts).tolist() == [[70, 10, 20], [7, 1, 2], [2, 0, 1], [1, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("least", "tested"), [(0, [20, 2, 1, 0, 0]), (4, [20, 4, 1, 1, 0]), (50, [50, 5, 1, 1, 0])]
)
def test_the_minimum_takes_no_more_than_half(least, tested):
    targets = np.repeat(np.arange(5), [100, 10, 3, 2, 1])
    assert counted(targets, assign(targets, 5, test=0.2, min_test=least))[:, TEST].tolist() == tested


def test_without_a_test_part_there_is_no_minimum():
    targets = np.repeat(np.arange(2), [10, 1])
    assert counted(targets, assign(targets, 2, val=0.5, min_test=3)).tolist() == [[5, 5, 0], [1, 0, 0]]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_function_of_the_seed(grouped):
    targets = np.arange(200) % 4
    groups = [f"g{row % 50}" for row in range(200)] if grouped else None
    first, again, other = (
        assign(targets, 4, test=0.2, val=0.2, groups=groups, seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(20))
def test_groups_stay_whole_and_every_class_stays_in_train(seed):
    rng = np.random.default_rng(seed)
    count, classes = int(rng.integers(20, 400)), int(rng.integers(2, 12))
    targets = np.minimum(rng.geometric(0.4, count) - 1, classes - 1)
    names = rng.integers(0, int(rng.integers(2, 80)), count)
    groups = ["" if name == 0 else f"group {name}" for name in names]
    parts = assign(targets, classes, test=0.2, val=0.1, groups=groups, seed=seed)
    for name in set(names.tolist()) - {0}:
        assert len(set(parts[names == name].tolist())) == 1
    assert set(targets[parts == TRAIN].tolist()) == set(targets.tolist())


def test_many_groups_come_close_to_the_shares():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, 1000)
    owners = np.minimum(rng.geometric(0.4, 1000) - 1, 5)
    targets, names = np.repeat(owners, sizes), np.repeat(np.arange(1000), sizes)
    parts = assign(targets, 6, test=0.2, val=0.1, groups=[str(name) for name in names])
    found, all_ = counted(targets, parts), np.bincount(targets)
    assert np.all(np.abs(found[:, TEST] - 0.2 * all_) <= 8)
    assert np.all(np.abs(found[:, VAL] - 0.1 * all_) <= 8)
    tested = np.mean([sizes[name] for name in set(names[parts == TEST].tolist())])
    assert abs(tested - sizes.mean()) < 0.5  # large groups are tested as well as small ones


def test_a_class_of_one_group_stays_in_train():
    targets = np.array([0] * 12 + [1] * 8)
    groups = [f"a{row // 2}" for row in range(12)] + ["b"] * 8
    assert counted(targets, assign(targets, 2, test=0.25, groups=groups)).tolist() == [[10, 0, 2], [8, 0, 0]]


def test_two_large_groups_are_divided():
    targets = np.array([0] * 20 + [1] * 20)
    groups = [f"{row // 10}" for row in range(40)]
    assert counted(targets, assign(targets, 2, test=0.2, groups=groups))[:, TEST].tolist() == [10, 10]


def test_a_group_of_two_classes_that_one_needs_stays():
    targets = np.array([0, 0, 0, 0, 1, 1])
    groups = ["a", "b", "c", "d", "d", "d"]
    parts = assign(targets, 2, test=0.5, groups=groups)
    assert parts[3:].tolist() == [TRAIN] * 3
    assert (parts[:3] == TEST).sum() == 2


def test_a_rare_class_that_bursts_push_off_its_share_is_named_with_the_sizes_of_its_groups():
    targets = np.array([0] * 100 + [1] * 10)
    groups = [*(f"f{row}" for row in range(95)), *"aaaaa", *"aaabbbcdef"]
    wanted = wanted_of(np.bincount(targets), test=0.2, val=0.0)[0][TEST]
    assert wanted.tolist() == [20, 2]
    (line,) = far_from_wanted(["fox", "lynx"], targets, groups, wanted, np.array([23, 4]), "test")
    for fact in ("1 class", "lynx", "asked 2 of 10, got 4", "8, 3, 1"):
        assert fact in line
    assert "fox" not in line
    for near in (wanted, np.array([20, 3])):  # one image more is as near as whole groups may come
        assert far_from_wanted(["fox", "lynx"], targets, groups, wanted, near, "test") == []
