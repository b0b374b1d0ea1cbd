"""Samplers, held-out images and batches."""

import numpy as np
import pytest
import torch

from longtail.data import Split, batch_sizes, batches, epoch_order, showings
from longtail.data.holdout import hold_out

COUNTS = [900, 90, 10]
TARGETS = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
SAMPLERS = ["instance", "class_balanced", "square_root", "progressive"]


def shares(sampler, epoch=0, epochs=3, draws=40):
    orders = [
        epoch_order(sampler, TARGETS, 3, seed=seed, epoch=epoch, epochs=epochs) for seed in range(draws)
    ]
    drawn = torch.bincount(TARGETS[torch.cat(orders)], minlength=3)
    return drawn / drawn.sum()


def test_instance_shows_each_image_once():
    order = epoch_order("instance", TARGETS, 3, seed=0, epoch=0, epochs=1)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != list(range(1000))


@pytest.mark.parametrize(
    ("sampler", "epoch", "expected"),
    [
        ("class_balanced", 0, [1 / 3, 1 / 3, 1 / 3]),
        ("square_root", 0, [0.7034, 0.2224, 0.0741]),
        ("progressive", 0, [0.9, 0.09, 0.01]),
        ("progressive", 1, [0.6167, 0.2117, 0.1717]),
        ("progressive", 2, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_shares_of_the_classes(sampler, epoch, expected):
    torch.testing.assert_close(shares(sampler, epoch), torch.tensor(expected), atol=0.012, rtol=0)


def test_images_of_a_class_are_drawn_alike():
    orders = [epoch_order("class_balanced", TARGETS, 3, seed=s, epoch=0, epochs=1) for s in range(40)]
    of_last = torch.bincount(torch.cat(orders), minlength=1000)[-10:]
    assert float(of_last.max() / of_last.min()) < 1.25


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_order_depends_on_seed_and_epoch_alone(sampler):
    def order(seed, epoch):
        return epoch_order(sampler, TARGETS, 3, seed=seed, epoch=epoch, epochs=5).tolist()

    first = order(1, 2)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert order(1, 2) == first
    assert len({tuple(order(s, e)) for s in range(3) for e in range(3)}) == 9


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_class_without_images_is_never_drawn(sampler):
    targets = torch.tensor([0, 0, 2, 2])
    order = epoch_order(sampler, targets, 4, seed=0, epoch=0, epochs=1)
    assert order.shape == (4,)
    assert int(order.max()) < 4


def test_an_image_that_is_shown_again_has_a_number_of_its_own():
    order = epoch_order("reverse", TARGETS, 4, seed=3, epoch=1, epochs=2)
    numbers = showings(order, len(TARGETS))
    assert len(order.unique()) < len(order)
    assert len(numbers.unique()) == len(order)
    assert torch.equal(numbers % len(TARGETS), order)
    once = torch.randperm(9)
    assert torch.equal(showings(once, 9), once)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(Exception, match=r"sampler.*balanced"):
        epoch_order("balanced", TARGETS, 3, seed=0, epoch=0, epochs=1)


def test_hold_out_takes_its_share_of_each_class_and_leaves_one():
    targets = np.repeat([0, 1, 2, 3], [20, 5, 2, 1])
    train, held = hold_out(targets, 4, 0.5, seed=3)
    assert np.bincount(targets[held], minlength=4).tolist() == [10, 3, 1, 0]
    assert sorted([*train, *held]) == list(range(28))
    assert np.bincount(targets[hold_out(targets, 4, 0.99, seed=3)[0]]).tolist() == [1, 1, 1, 1]


def test_hold_out_depends_on_the_seed_alone():
    targets = np.repeat([0, 1], 30)
    held = [hold_out(targets, 2, 0.2, seed=seed)[1].tolist() for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_nothing_held_out():
    train, held = hold_out(np.array([0, 1]), 2, 0.0, seed=0)
    assert (train.tolist(), held.tolist()) == ([0, 1], [])


def split_of(count):
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 2, 2).clone()
    return Split(images, torch.arange(count) % 3, tuple(f"train/{i}" for i in range(count)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_batches_follow_the_order_and_none_has_one_image(size):
    order = torch.tensor([4, 0, 3, 3, 1, 2, 5, 0, 2])
    got = list(batches(split_of(6), order, size, "cpu"))
    sizes = [len(batch.target) for batch in got]
    assert sizes == batch_sizes(len(order), size)
    assert size == 1 or (min(sizes) > 1 and max(sizes) <= size + 1)
    assert torch.cat([batch.index for batch in got]).tolist() == order.tolist()
    assert torch.cat([batch.image[:, 0, 0, 0] for batch in got]).tolist() == order.tolist()
    assert torch.cat([batch.target for batch in got]).tolist() == (order % 3).tolist()
    assert got[0].image.dtype == torch.uint8


def test_a_part_holds_its_own_images_and_knows_of_all():
    order = torch.tensor([4, 0, 3, 3, 1])
    got = list(batches(split_of(6), order, 2, "cpu", part=lambda rows: rows[1:]))
    assert [batch.image[:, 0, 0, 0].tolist() for batch in got] == [[0], [3, 1]]
    assert [batch.index.tolist() for batch in got] == [[4, 0], [3, 3, 1]]
    assert torch.cat([batch.target for batch in got]).tolist() == (order % 3).tolist()


def test_no_rows_make_no_batches():
    assert list(batches(split_of(6), torch.tensor([], dtype=torch.int64), 2, "cpu")) == []


def test_a_split_moves_with_its_targets():
    moved = split_of(4).to("meta")
    assert (moved.images.device.type, moved.targets.device.type) == ("meta", "meta")
