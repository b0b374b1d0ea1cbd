import copy

import pytest
import torch

from longtail.losses import ConfusionTracker, PrototypeBank


def filled(counts: list[list[float]]) -> ConfusionTracker:
    tracker = ConfusionTracker(1, len(counts))
    tracker.counts.copy_(torch.tensor([counts]))
    return tracker


def random_batch(generator: torch.Generator, experts: int, size: int, classes: int):
    return (
        torch.randint(classes, (experts, size), generator=generator),
        torch.randint(classes, (size,), generator=generator),
    )


def test_update_counts_true_rows_and_predicted_columns() -> None:
    tracker = ConfusionTracker(2, 3)
    tracker.update(torch.tensor([[1, 1, 0], [2, 1, 0]]), torch.tensor([0, 0, 2]))
    expected = torch.zeros(2, 3, 3)
    expected[0, 0, 1], expected[0, 2, 0] = 2, 1
    expected[1, 0, 2], expected[1, 0, 1], expected[1, 2, 0] = 1, 1, 1
    assert torch.equal(tracker.matrix(), expected)


@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_the_printed_form_is_a_running_mean_over_hundreds_of_batches(kept) -> None:
    generator = torch.Generator().manual_seed(0)
    tracker, expected = ConfusionTracker(2, 5), torch.zeros(2, 5, 5, dtype=torch.float64)
    for _ in range(400):  # 0.1^400 is far below the smallest float32: the scale must be folded in
        predicted, target = random_batch(generator, 2, 8, 5)
        tracker.decay(kept)
        tracker.update(predicted, target, weight=1 - kept)
        expected *= kept
        for m in range(2):
            for true, guess in zip(target, predicted[m], strict=True):
                expected[m, true, guess] += 1 - kept
        assert tracker.scale > 1e-7
    torch.testing.assert_close(tracker.matrix().double(), expected, rtol=1e-5, atol=1e-7)


def test_decay_leaves_the_counts_alone_and_keeps_the_order() -> None:
    tracker = filled([[0, 3, 2], [1, 0, 1], [5, 4, 0]])
    target = torch.tensor([0, 1, 2])
    before, counts = tracker.most_confused(target, 2), tracker.counts.clone()
    tracker.decay(0.1)
    assert torch.equal(tracker.counts, counts)
    torch.testing.assert_close(tracker.matrix(), counts * 0.1)
    after = tracker.most_confused(target, 2)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_state_goes_round_and_continues_equally() -> None:
    generator = torch.Generator().manual_seed(3)
    tracker, bank = ConfusionTracker(2, 4), PrototypeBank(2, 4, 3)
    steps = [(*random_batch(generator, 2, 6, 4), torch.randn(2, 6, 3, generator=generator)) for _ in range(9)]

    def run(modules, some) -> None:
        for predicted, target, features in some:
            modules[0].decay(0.1)
            modules[0].update(predicted, target)
            modules[1].update(features, target)

    run((tracker, bank), steps[:4])
    restored = ConfusionTracker(2, 4), PrototypeBank(2, 4, 3)
    restored[0].load_state_dict(copy.deepcopy(tracker.state_dict()))
    restored[1].load_state_dict(copy.deepcopy(bank.state_dict()))
    run((tracker, bank), steps[4:])
    run(restored, steps[4:])
    for one, two in ((tracker, restored[0]), (bank, restored[1])):
        assert one.state_dict().keys() == two.state_dict().keys()
        assert all(torch.equal(v, two.state_dict()[key]) for key, v in one.state_dict().items())
    assert set(tracker.state_dict()) == {"counts", "scale"}
    assert set(bank.state_dict()) == {"prototypes"}


def test_most_confused_masks_the_class_itself_and_what_was_never_counted() -> None:
    tracker = filled([[9, 1, 0, 4], [0, 7, 0, 0], [0, 0, 0, 0], [2, 2, 3, 50]])
    indices, valid = tracker.most_confused(torch.tensor([0, 1, 2, 3, 0]), 2)
    assert valid.tolist() == [[[True, True], [False] * 2, [False] * 2, [True, True], [True, True]]]
    assert indices[0, [0, 3, 4]].tolist() == [[3, 1], [2, 0], [3, 1]]


def test_own_class_wins_where_it_may_compete() -> None:
    tracker = filled([[9, 1, 0], [0, 7, 0], [1, 1, 0]])
    indices, valid = tracker.most_confused(torch.tensor([0, 1]), 2, include_own=True)
    assert indices[0, :, 0].tolist() == [0, 1]
    assert valid.tolist() == [[[True, True], [True, False]]]


def test_ties_go_to_the_lower_index_and_small_differences_still_count() -> None:
    row = [0.0, 1.0, 1.0, 1.0 + 2**-23, 1.0, 1e-30, 2e-30]
    indices, valid = filled([row] * 7).most_confused(torch.tensor([0]), 6)
    assert indices.tolist() == [[[3, 1, 2, 4, 6, 5]]]
    assert valid.all()


@pytest.mark.parametrize("k", [3, 5, 9])
def test_more_negatives_than_classes_are_filled_up_as_not_valid(k) -> None:
    tracker = filled([[9, 1, 2], [0, 7, 0], [1, 1, 0]])
    indices, valid = tracker.most_confused(torch.tensor([0, 2]), k)
    assert indices.shape == valid.shape == (1, 2, k)
    assert valid.sum(-1).tolist() == [[2, 2]]
    assert indices[..., :2].tolist() == [[[2, 1], [0, 1]]]
    assert ((indices >= 0) & (indices < 3)).all()


def test_most_confused_agrees_with_sorting_at_random() -> None:
    generator = torch.Generator().manual_seed(5)
    tracker = ConfusionTracker(3, 20)
    tracker.update(*random_batch(generator, 3, 2000, 20))
    target = torch.randint(20, (16,), generator=generator)
    indices, valid = tracker.most_confused(target, 7)
    for m in range(3):
        for i, true in enumerate(target.tolist()):
            row = tracker.matrix()[m, true].tolist()
            order = sorted((c for c in range(20) if c != true), key=lambda c: (-row[c], c))
            assert indices[m, i].tolist() == order[:7]
    assert valid.all()


def test_prototypes_are_running_class_means() -> None:
    bank, decay = PrototypeBank(2, 4, 3), 0.9
    expected = torch.zeros(2, 4, 3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for target in (torch.tensor([0, 2, 0, 0, 2]), torch.tensor([2, 2]), torch.tensor([3])):
        features = torch.randn(2, len(target), 3, generator=generator)
        bank.update(features, target, decay)
        for c in target.unique():
            expected[:, c] = decay * expected[:, c] + (1 - decay) * features[:, target == c].double().mean(1)
    torch.testing.assert_close(bank.prototypes.double(), expected, rtol=1e-5, atol=1e-7)
    assert bank.prototypes[:, 1].abs().max() == 0


def test_a_hand_checked_prototype() -> None:
    bank = PrototypeBank(1, 2, 1)
    bank.update(torch.tensor([[[2.0], [4.0], [10.0]]]), torch.tensor([1, 1, 0]), decay=0.75)
    torch.testing.assert_close(bank.prototypes, torch.tensor([[[2.5], [0.75]]]))


def test_updates_take_no_gradient_and_full_precision_under_autocast() -> None:
    features = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([0, 1, 0, 1, 2, 2, 2, 0])
    plain, under = PrototypeBank(2, 3, 16), PrototypeBank(2, 3, 16)
    plain.update(features, target)
    with torch.autocast("cpu", torch.bfloat16):
        under.update(features, target)
    assert torch.equal(plain.prototypes, under.prototypes)
    assert not plain.prototypes.requires_grad
    under.update(features.bfloat16(), target)
    assert under.prototypes.dtype == torch.float32


def test_prototypes_of_one_process_equal_those_of_another_on_the_same_batch() -> None:
    features, target = torch.randn(2, 64, 8), torch.arange(64) % 5
    banks = [PrototypeBank(2, 5, 8) for _ in range(2)]
    for bank in banks:
        bank.update(features, target)
    assert torch.equal(banks[0].prototypes, banks[1].prototypes)


def test_inaturalist_size() -> None:
    """8,142 classes are 265 MB of confusion for one expert: the last cells are reached."""
    classes = 8142
    tracker, bank = ConfusionTracker(1, classes), PrototypeBank(1, classes, 4)
    target = torch.tensor([classes - 1, 0, classes - 1])
    tracker.update(torch.tensor([[classes - 2, classes - 1, classes - 1]]), target)
    assert tracker.counts[0, classes - 1, classes - 2] == 1
    assert tracker.counts.sum() == 3
    indices, valid = tracker.most_confused(target, 2)
    assert indices[0, :, 0].tolist() == [classes - 2, classes - 1, classes - 2]
    assert valid.tolist() == [[[True, False]] * 3]
    bank.update(torch.ones(1, 3, 4), target)
    assert bank.prototypes.count_nonzero() == 8
