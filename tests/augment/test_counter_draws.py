"""Draws: pinned values, purity, uniformity and independence."""

import itertools

import pytest
import torch
from torch import Tensor

from longtail.augment import Augment
from longtail.augment.random import below, draw_bits

COUNT = 1 << 16


def uniform(index: Tensor, slots: int = 8, seed: int = 0, epoch: int = 0, view: int = 0) -> Tensor:
    return draw_bits(index, slots, Augment.keys(seed, epoch, view, "cpu")).double() / 2**32


def chi_square(values: Tensor, bins: int) -> float:
    """Standardised: about normal with mean 0 and deviation 1 for uniform values in [0, bins)."""
    counts = torch.bincount(values, minlength=bins).double()
    expected = len(values) / bins
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return (statistic - (bins - 1)) / (2 * (bins - 1)) ** 0.5


def test_values_never_change() -> None:
    bits = draw_bits(torch.tensor([0, 1, 10_846, 2**32 - 1]), 3, Augment.keys(1, 2, 3, "cpu"))
    assert bits.tolist() == [
        [3716277281, 4226322394, 2768683047],
        [4289911259, 2491314495, 4097484058],
        [1550487235, 3664360231, 1534596475],
        [861691321, 1213965841, 961818162],
    ]


def test_draws_depend_on_their_own_key_only() -> None:
    whole = uniform(torch.arange(100), slots=11)
    assert torch.equal(uniform(torch.arange(40, 60), slots=11), whole[40:60])
    assert torch.equal(uniform(torch.arange(99, -1, -1), slots=4), whole.flip(0)[:, :4])
    assert torch.equal(uniform(torch.arange(100, dtype=torch.int32), slots=11), whole)


@pytest.mark.parametrize("change", [{"seed": 1}, {"seed": -1}, {"epoch": 1}, {"view": 1}, {"seed": 2**40}])
def test_each_part_of_the_key_matters(change: dict[str, int]) -> None:
    index = torch.arange(COUNT)
    first, second = uniform(index), uniform(index, **change)
    assert (first == second).double().mean() < 1e-4
    correlation = ((first - 0.5) * (second - 0.5)).mean(0) * 12
    assert correlation.abs().max() < 5 / COUNT**0.5


@pytest.mark.parametrize("stride", [1, 7, 1 << 12])
def test_uniform_in_high_and_low_bits(stride: int) -> None:
    for seed in range(3):
        bits = draw_bits(torch.arange(COUNT) * stride % 2**32, 8, Augment.keys(seed, 5, 0, "cpu"))
        for slot in range(8):
            assert abs(chi_square(bits[:, slot] >> 24, 256)) < 5
            assert abs(chi_square(bits[:, slot] & 255, 256)) < 5
            assert abs(chi_square(below(bits[:, slot], 25), 25)) < 5


def test_slots_neighbours_and_epochs_are_independent() -> None:
    by_epoch = torch.stack([uniform(torch.arange(COUNT), epoch=epoch) for epoch in range(3)])
    columns = [*by_epoch.unbind(0)[0].unbind(1), *by_epoch[1:, :, 0].unbind(0), by_epoch[0, :, 0].roll(1)]
    for first, second in itertools.combinations(columns, 2):
        cells = (first * 16).long() * 16 + (second * 16).long()
        assert abs(chi_square(cells, 256)) < 5


def test_one_image_over_epochs_is_uniform() -> None:
    index = torch.tensor([123])
    values = torch.stack([uniform(index, epoch=epoch)[0] for epoch in range(1600)])
    for slot in range(8):
        assert abs(chi_square((values[:, slot] * 32).long(), 32)) < 5


def test_every_bit_flips_half_the_output() -> None:
    index = torch.arange(4096)
    base = draw_bits(index, 2, Augment.keys(0, 0, 0, "cpu"))
    for bit in range(32):
        changed = base ^ draw_bits(index ^ (1 << bit), 2, Augment.keys(0, 0, 0, "cpu"))
        share = torch.stack([(changed >> place & 1).double().mean() for place in range(32)])
        assert (share - 0.5).abs().max() < 0.04, bit
