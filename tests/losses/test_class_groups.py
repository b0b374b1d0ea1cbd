import pytest
import torch

from longtail.losses import equal_mass_groups, ordered_groups
from longtail.metrics import class_groups

COUNTS = torch.tensor([20, 500, 3, 100, 101, 0, 19, 500])


def members(masks: torch.Tensor) -> list[list[int]]:
    assert torch.equal(masks.sum(0), torch.ones(masks.shape[1], dtype=torch.int64))  # each class in one group
    return [mask.nonzero().flatten().tolist() for mask in masks]


def test_default_groups_are_those_of_the_evaluation() -> None:
    names = ("many", "medium", "few")
    expected = [[c for c, group in enumerate(class_groups(COUNTS)) if group == name] for name in names]
    assert members(ordered_groups(COUNTS)) == expected == [[1, 4, 7], [0, 3], [2, 5, 6]]


def test_groups_follow_the_counts_not_the_order_of_the_classes() -> None:
    order = torch.tensor([3, 7, 0, 1, 6, 2, 5, 4])
    for make in (ordered_groups, lambda n: equal_mass_groups(n, 3)):
        assert torch.equal(make(COUNTS[order]).sum(1), make(COUNTS).sum(1))
    assert torch.equal(ordered_groups(COUNTS[order]), ordered_groups(COUNTS)[:, order])


def test_any_number_of_edges_and_empty_groups() -> None:
    assert members(ordered_groups(COUNTS, (20,))) == [[1, 3, 4, 7], [0, 2, 5, 6]]
    assert members(ordered_groups(COUNTS, (1000, 500, 100, 1))) == [[], [1, 7], [3, 4], [0, 2, 6], [5]]


@pytest.mark.parametrize("edges", [(), (20, 100), (20, 20)])
def test_edges_that_do_not_fall_are_refused(edges) -> None:
    with pytest.raises(ValueError, match="falling"):
        ordered_groups(COUNTS, edges)


def test_groups_of_equal_mass() -> None:
    # 500, 500 | 101, 100, 20, 19, 3, 0: half of 1,243 is nearer to 500 than to 1,000
    assert members(equal_mass_groups(COUNTS, 2)) == [[1], [0, 2, 3, 4, 5, 6, 7]]
    assert members(equal_mass_groups(COUNTS, 1)) == [list(range(8))]
    assert members(equal_mass_groups(torch.tensor([2, 2, 2, 2]), 2)) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("groups", range(1, 9))
def test_no_group_of_equal_mass_is_empty(groups) -> None:
    for counts in (COUNTS, torch.tensor([10**6, 1, 1, 1, 1, 1, 1, 1]), torch.zeros(8, dtype=torch.int64)):
        found = members(equal_mass_groups(counts, groups))
        assert len(found) == groups
        assert all(found)
        smallest = [min(counts[group].tolist()) for group in found]
        largest = [max(counts[group].tolist()) for group in found]
        assert all(low >= high for low, high in zip(smallest, largest[1:], strict=False))


@pytest.mark.parametrize("groups", [0, 9])
def test_more_groups_than_classes_are_refused(groups) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        equal_mass_groups(COUNTS, groups)


def test_groups_of_equal_mass_come_close_to_it() -> None:
    counts = torch.tensor([int(500 * 100 ** (-c / 99)) for c in range(100)])  # CIFAR-100-LT, 100
    images = [int(counts[group].sum()) for group in equal_mass_groups(counts.flip(0), 3).flip(1)]
    assert sum(images) == 10847
    assert all(abs(number - 10847 / 3) < 500 / 2 for number in images)  # less than half a class off
