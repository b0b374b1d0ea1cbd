import math

import pytest
import torch

from longtail.between_epochs import class_temperatures, matched_targets, subclasses

TARGETS = torch.tensor([1, 0, 1, 0, 1, 1, 0, 3, 1])  # class 2 has no images


def around(angles: list[float]) -> torch.Tensor:
    """Directions at these angles, of different lengths."""
    lengths = torch.arange(1.0, len(angles) + 1)
    return torch.stack(
        [torch.tensor(angles).cos() * lengths, torch.tensor(angles).sin() * lengths], 1
    ).double()


ANGLES = [0.0, 1.0, 0.1, 1.1, 3.0, 3.1, -2.0, 0.5, 3.05]


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_cut_by_direction(seed: int) -> None:
    found = subclasses(around(ANGLES), TARGETS, torch.tensor([2, 2, 0, 1]), seed=seed).tolist()
    groups = {tuple(i for i, own in enumerate(found) if own == one) for one in found}
    assert groups == {(1, 3), (6,), (0, 2), (4, 5, 8), (7,)}


def test_one_cluster_is_the_class() -> None:
    found = subclasses(around(ANGLES), TARGETS, torch.ones(4, dtype=torch.int64), seed=0)
    assert torch.equal(found[:, None] == found, TARGETS[:, None] == TARGETS)


def test_a_cluster_that_lost_its_images_harms_nothing() -> None:
    same = torch.ones(9, 2)
    found = subclasses(same, TARGETS, torch.tensor([3, 5, 0, 1]), seed=0)
    assert torch.equal(found[:, None] == found, TARGETS[:, None] == TARGETS)


def test_temperatures_follow_the_spread() -> None:
    features = around(ANGLES)
    spreads = []
    for c in (0, 1, 3):
        own = [(math.cos(a), math.sin(a)) for a, y in zip(ANGLES, TARGETS.tolist(), strict=True) if y == c]
        mean = [sum(axis) / len(own) for axis in zip(*own, strict=True)]
        distance = sum(math.dist(one, mean) for one in own) / len(own)
        spreads.append(distance / math.log(len(own) + 10))
    ordered = sorted(spreads)
    low, high = ordered[0] + 0.4 * (ordered[1] - ordered[0]), ordered[1] + 0.6 * (ordered[2] - ordered[1])
    clipped = [min(max(one, low), high) for one in spreads]
    expected = [0.2 * one / (sum(clipped) / 3) for one in clipped]
    found = class_temperatures(features, TARGETS, torch.tensor([2, 2, 0, 2]), temperature=0.2)
    assert found.tolist() == pytest.approx([*expected[:2], 0.2, expected[2]], rel=1e-5)
    found = class_temperatures(features, TARGETS, torch.tensor([2, 1, 0, 1]), temperature=0.2)
    assert found.tolist() == pytest.approx([expected[0], 0.2, 0.2, 0.2], rel=1e-5)


def test_a_class_of_equal_images_has_no_temperature_of_zero() -> None:
    features = torch.ones(9, 2)
    features[0] = torch.tensor([0.0, 1.0])
    found = class_temperatures(features, TARGETS, torch.tensor([2, 2, 0, 2]), temperature=0.2)
    assert found.min() == pytest.approx(0.02)


def test_targets_are_matched_so_that_the_sum_is_largest() -> None:
    """Class 0 likes target 0 best, and class 1 likes it still more."""
    centres = torch.tensor([[[1.0, 0.8, 0.0], [3.0, 0.1, 0.0], [0.0, 0.9, 0.8]], [[0.0] * 3] * 3])
    assert matched_targets(centres, torch.eye(3)).tolist() == [1, 0, 2]
