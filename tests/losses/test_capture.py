import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from longtail import losses

M, B, C, D, QUEUE = 3, 16, 10, 8, 40


def total(tracker, bank, queue, statistics, network, average, logits, features, target) -> torch.Tensor:
    """A step with every loss and every tracker."""
    tracker.decay(0.5)
    tracker.update(logits.argmax(-1), target, weight=0.5)
    bank.update(features, target)
    losses.update_moving_average(average, network, 0.5)
    negatives = tracker.most_confused(target, 4)
    return (
        losses.parallel_loss(losses.expert_cross_entropy(logits, target))
        + losses.focal_loss(logits, target).sum()
        + losses.mutual_distillation(logits)
        + losses.mutual_distillation_ordered(logits)
        + losses.adaptive_diversity(features)
        + losses.adaptive_diversity_floored(features)
        + losses.adaptive_diversity_squared(features)
        + losses.feature_distance(features)
        + losses.confusion_contrastive(features, target, bank.prototypes, *negatives).sum()
        + weighted(logits, target)
        + taught(logits)
        + contrasted(queue, logits, features, target)
        + augmented(statistics, bank, logits, features, target)
    )


def augmented(statistics, bank, logits, features, target) -> torch.Tensor:
    statistics.update(features, target)
    spread, weights = statistics.covariances, bank.prototypes
    full = losses.implicit_augmentation(
        logits, target, weights, spread, strength=0.5, shifts=weights, shift_strength=1.0
    )
    return (
        full.mean()
        + losses.implicit_augmentation(logits, target, weights, spread[..., 0], strength=0.5).mean()
    )


def contrasted(queue, logits, features, target) -> torch.Tensor:
    draws = features.new_zeros(B, B + QUEUE)
    queue.push(features.detach(), target)
    pairs = losses.sampled_positives(losses.positive_pairs(target, queue.key_target), draws, 3)
    keys = queue.keys, queue.key_target
    value = (
        losses.supervised_contrastive(features, target, *keys, positives=pairs)
        + losses.supervised_contrastive(features, target, *keys, denominators="class_averaged")
        + losses.parametric_contrastive(logits, features, target, *keys, key_weight=0.1)
    ).sum()
    queue.push(features.detach(), target)  # between the loss and its backward pass
    return value


def taught(logits) -> torch.Tensor:
    right, temperature = logits.new_ones(M, B), logits.new_ones(C)
    return (
        losses.pairwise_kl(logits, weight=right, mask=logits[0] > 0)
        + losses.pairwise_kl(logits, form="to_mean", temperature=temperature, detach_teacher=True)
        + losses.kl_divergence(logits[:1].detach(), logits, weight=right, normalise=True).sum()
    )


def weighted(logits, target) -> torch.Tensor:
    counts = torch.arange(C, 0, -1, device=target.device)
    weight, margins = losses.class_weights(counts, rule="effective"), losses.ldam_margins(counts)
    other, share = target.flip(0), logits.new_full((B,), 0.5)
    return (
        losses.weighted_cross_entropy(logits, target, weight, normalise=True)
        + losses.weighted_cross_entropy(logits, target, losses.class_weights(counts), normalise=False)
        + losses.soft_cross_entropy(logits, target, other, share=0.3, weight=weight)
        + losses.soft_cross_entropy(logits, target, other, share)
        + losses.binary_soft_cross_entropy(logits, target, other, 0.3)
        + losses.expert_cross_entropy(losses.target_margin(logits, target, margins, scale=30.0), target)
    ).sum()


def state(device: str) -> list[torch.nn.Module]:
    with torch.device(device):
        trackers = (
            losses.ConfusionTracker(M, C),
            losses.PrototypeBank(M, C, D),
            losses.KeyQueue(QUEUE, D, M),
            losses.ClassStatistics(M, C, D),
        )
        networks = torch.nn.BatchNorm1d(D), torch.nn.BatchNorm1d(D)
    torch.nn.init.constant_(networks[0].weight, 3.0)
    return [*trackers, *networks]


def test_a_step_waits_for_nothing() -> None:
    """Fake tensors have no values: whatever reads one, or has a shape that hangs on one, fails."""
    with FakeTensorMode():
        logits, features = torch.zeros(M, B, C, requires_grad=True), torch.zeros(M, B, D, requires_grad=True)
        total(*state("cpu"), logits, features, torch.zeros(B, dtype=torch.int64)).backward()
    assert logits.grad.shape == logits.shape
    assert features.grad.shape == features.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_step_equals_an_eager_one() -> None:
    captured, eager = state("cuda"), state("cuda")
    logits, features = torch.zeros(M, B, C, device="cuda"), torch.zeros(M, B, D, device="cuda")
    target = torch.zeros(B, dtype=torch.int64, device="cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        total(*state("cuda"), logits, features, target)  # warm-up, on trackers of its own
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = total(*captured, logits, features, target)
    for _ in range(40):
        logits.normal_()
        features.normal_()
        target.random_(C)
        graph.replay()
        torch.testing.assert_close(value, total(*eager, logits, features, target))
    torch.testing.assert_close(captured[0].matrix(), eager[0].matrix())
    torch.testing.assert_close(captured[1].prototypes, eager[1].prototypes)
    torch.testing.assert_close(captured[2].state_dict(), eager[2].state_dict())
    torch.testing.assert_close(captured[3].state_dict(), eager[3].state_dict())
    torch.testing.assert_close(captured[5].state_dict(), eager[5].state_dict())
