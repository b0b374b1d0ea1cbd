import pytest
import torch

from longtail.losses import ClassStatistics, expert_cross_entropy, implicit_augmentation

M, B, C, D = 2, 6, 4, 3
TARGET = torch.tensor([0, 1, 0, 2, 1, 0])
diagonal_or_full = pytest.mark.parametrize("diagonal", [False, True])


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def spreads(diagonal: bool) -> torch.Tensor:
    root = normal(M, C, D, D, seed=5)
    full = root @ root.transpose(2, 3)
    return full.diagonal(dim1=2, dim2=3) if diagonal else full


@diagonal_or_full
def test_batches_add_up_to_the_statistics_of_all_features(diagonal) -> None:
    tracker, generator = ClassStatistics(M, C, D, diagonal=diagonal), torch.Generator().manual_seed(0)
    seen, labels = [], []
    for size in (7, 1, 12, 1, 30):
        features = 3 + 2 * torch.randn(M, size, D, generator=generator, requires_grad=True)
        target = torch.randint(C - 1, (size,), generator=generator)  # the last class is absent
        tracker.update(features, target)
        seen.append(features.detach().double())
        labels.append(target)
    features, target = torch.cat(seen, 1), torch.cat(labels)
    assert tracker.counts.tolist() == [(target == c).sum() for c in range(C)]
    for m in range(M):
        for c in range(C - 1):
            rows = features[m, target == c]
            covariance = torch.cov(rows.T, correction=0)
            expected = covariance.diagonal() if diagonal else covariance
            torch.testing.assert_close(tracker.means[m, c].double(), rows.mean(0), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(tracker.covariances[m, c].double(), expected, rtol=1e-4, atol=1e-4)
    assert tracker.means[:, -1].count_nonzero() == tracker.covariances[:, -1].count_nonzero() == 0
    assert not tracker.covariances.requires_grad


def test_a_hand_checked_pair_of_batches() -> None:
    tracker = ClassStatistics(1, 2, 1)
    tracker.update(torch.tensor([[[1.0], [3.0]]]), torch.tensor([1, 1]))
    assert (tracker.means[0, 1].item(), tracker.covariances[0, 1].item()) == (2.0, 1.0)
    tracker.update(torch.tensor([[[5.0], [7.0]]]), torch.tensor([1, 1]))
    assert (tracker.means[0, 1].item(), tracker.covariances[0, 1].item()) == (4.0, 5.0)


def test_far_features_lose_no_precision() -> None:
    tracker = ClassStatistics(1, 1, 2)
    for seed in range(20):
        noise = torch.randn(1, 64, 2, generator=torch.Generator().manual_seed(seed))
        tracker.update(1e4 + noise, torch.zeros(64, dtype=torch.int64))
    torch.testing.assert_close(tracker.covariances[0, 0], torch.eye(2), rtol=0.1, atol=0.1)


@diagonal_or_full
def test_state_goes_round_and_autocast_changes_nothing(diagonal) -> None:
    tracker, restored = (ClassStatistics(M, C, D, diagonal=diagonal) for _ in range(2))
    tracker.update(normal(M, B, D), TARGET)
    restored.load_state_dict(tracker.state_dict())
    features = normal(M, B, D, seed=1).bfloat16()
    tracker.update(features.float(), TARGET)
    with torch.autocast("cpu", torch.bfloat16):
        restored.update(features, TARGET)
    assert set(tracker.state_dict()) == {"counts", "means", "covariances"}
    assert all(
        torch.equal(value, restored.state_dict()[name]) for name, value in tracker.state_dict().items()
    )


@diagonal_or_full
@pytest.mark.parametrize("shifted", [False, True])
def test_augmented_logits_agree_with_a_loop(diagonal, shifted) -> None:
    logits, weights, shifts = normal(M, B, C), normal(M, C, D, seed=1), normal(M, C, D, seed=2)
    covariances = spreads(diagonal)
    expected = logits.clone()
    for m in range(M):
        for b, y in enumerate(TARGET):
            spread = covariances[m, y].diag() if diagonal else covariances[m, y]
            for c in range(C):
                v = weights[m, c] - weights[m, y]
                expected[m, b, c] += 0.75 / 2 * v @ spread @ v + (0.5 * v @ shifts[m, y] if shifted else 0)
    options = {"shifts": shifts, "shift_strength": 0.5} if shifted else {}
    value = implicit_augmentation(logits, TARGET, weights, covariances, strength=0.75, **options)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(value[:, range(B), TARGET], logits[:, range(B), TARGET])


def test_the_loss_bounds_the_mean_over_drawn_features() -> None:
    weights, features, covariances = normal(1, C, D, seed=1), normal(1, 1, D), spreads(False)[:1]
    target = torch.tensor([2])
    root = torch.linalg.cholesky(0.3 * covariances[0, 2])
    drawn = features + (normal(1, 20000, D, seed=3) @ root.T)
    mean = expert_cross_entropy(drawn @ weights.transpose(1, 2), target.expand(20000))
    logits = features @ weights.transpose(1, 2)
    bound = expert_cross_entropy(
        implicit_augmentation(logits, target, weights, covariances, strength=0.3), target
    )
    assert expert_cross_entropy(logits, target) < mean < bound


@diagonal_or_full
def test_gradients(diagonal) -> None:
    def loss(logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        shifts = normal(M, C, D, seed=2)
        options = {"strength": 0.5, "shifts": shifts, "shift_strength": 0.5}
        return implicit_augmentation(logits, TARGET, weights, spreads(diagonal), **options)

    inputs = normal(M, B, C).requires_grad_(), normal(M, C, D, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


@diagonal_or_full
def test_extremes_and_half_precision(diagonal) -> None:
    logits, weights = torch.full((M, 1, C), 1e4, dtype=torch.bfloat16), normal(M, C, D).bfloat16()
    covariances = torch.zeros(M, C, D) if diagonal else torch.zeros(M, C, D, D)
    with torch.autocast("cpu", torch.bfloat16):
        same = implicit_augmentation(logits, torch.tensor([3]), weights, covariances, strength=7.5)
    torch.testing.assert_close(same, logits.float())
    covariances = spreads(diagonal).float()
    with torch.autocast("cpu", torch.bfloat16):
        value = implicit_augmentation(logits, torch.tensor([3]), weights, covariances, strength=7.5)
    full = implicit_augmentation(
        logits.float(), torch.tensor([3]), weights.float(), covariances, strength=7.5
    )
    torch.testing.assert_close(value, full, rtol=0, atol=0)
