import math

import pytest
import torch

from longtail.losses import ConfusionTracker, PrototypeBank, confusion_contrastive

M, B, C, D, K = 2, 4, 6, 3, 3
FORMS = [(s, r) for s in ("cosine", "dot") for r in ("sum", "mean")]
each_form = pytest.mark.parametrize(("similarity", "reduction"), FORMS)


@pytest.fixture
def case() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    valid = torch.ones(M, B, K, dtype=torch.bool)
    valid[0, 1, 1:] = False
    valid[1, 3] = False
    return {
        "features": torch.randn(M, B, D, dtype=torch.float64, generator=generator),
        "target": torch.tensor([0, 5, 2, 0]),
        "prototypes": torch.randn(M, C, D, dtype=torch.float64, generator=generator),
        "negatives": torch.tensor([[1, 2, 3], [0, 1, 4], [5, 0, 1], [1, 3, 4]]).expand(M, B, K),
        "valid": valid,
    }


def naive(case: dict[str, torch.Tensor], temperature: float, similarity: str, reduction: str) -> torch.Tensor:
    def score(h: torch.Tensor, p: torch.Tensor) -> float:
        dot = sum((h * p).tolist())
        norms = math.hypot(*h) * math.hypot(*p) if similarity == "cosine" else 1
        return math.exp(dot / norms / temperature)

    losses = torch.zeros(M, dtype=torch.float64)
    for m in range(M):
        for i, y in enumerate(case["target"].tolist()):
            h, p = case["features"][m, i], case["prototypes"][m]
            chosen = [int(c) for c, v in zip(case["negatives"][m, i], case["valid"][m, i], strict=True) if v]
            rest = sum(score(h, p[c]) for c in chosen) / (
                len(chosen) if reduction == "mean" and chosen else 1
            )
            losses[m] -= math.log(score(h, p[y]) / (score(h, p[y]) + rest)) / B
    return losses


@each_form
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_agrees_with_the_equation(case, similarity, reduction, temperature) -> None:
    options = {"temperature": temperature, "similarity": similarity, "reduction": reduction}
    torch.testing.assert_close(confusion_contrastive(**case, **options), naive(case, **options))


@each_form
def test_gradients(case, similarity, reduction) -> None:
    features = case.pop("features").requires_grad_()

    def loss(h: torch.Tensor) -> torch.Tensor:
        return confusion_contrastive(h, **case, temperature=0.5, similarity=similarity, reduction=reduction)

    assert torch.autograd.gradcheck(loss, features)


def test_a_sample_without_negatives_contributes_nothing(case) -> None:
    features = case["features"].requires_grad_()
    case["valid"] = torch.zeros_like(case["valid"])
    case["valid"][:, 0] = True
    value = confusion_contrastive(**case)
    value.sum().backward()
    assert (features.grad[:, 1:] == 0).all()
    assert (features.grad[:, 0] != 0).all()
    first = {
        key: v if key == "prototypes" else v[:1] if key == "target" else v[:, :1] for key, v in case.items()
    }
    torch.testing.assert_close(value, confusion_contrastive(**first) / B)


@each_form
def test_prototypes_never_set_take_no_part(case, similarity, reduction) -> None:
    options = {"similarity": similarity, "reduction": reduction}
    unset = {**case, "prototypes": case["prototypes"].clone(), "features": case["features"].requires_grad_()}
    unset["prototypes"][:, 0] = 0
    masked = {**case, "valid": case["valid"] & (case["negatives"] != 0)}
    masked["valid"] = masked["valid"] & (case["target"] != 0).view(1, B, 1)
    value = confusion_contrastive(**unset, **options)
    torch.testing.assert_close(value, confusion_contrastive(**masked, **options))
    value.sum().backward()
    assert (unset["features"].grad[:, [0, 3]] == 0).all()
    assert unset["features"].grad.isfinite().all()


def test_experts_are_independent(case) -> None:
    swapped = {key: v if key == "target" else v.flip(0) for key, v in case.items()}
    torch.testing.assert_close(confusion_contrastive(**swapped), confusion_contrastive(**case).flip(0))


@each_form
def test_huge_zero_and_half_features_stay_finite(case, similarity, reduction) -> None:
    for given in (case["features"].float() * 1e4, torch.zeros(M, B, D), case["features"].bfloat16()):
        features = given.detach().requires_grad_()
        values = {**case, "features": features, "prototypes": case["prototypes"].float()}
        with torch.autocast("cpu", torch.bfloat16):
            value = confusion_contrastive(**values, similarity=similarity, reduction=reduction)
        value.sum().backward()
        assert value.dtype == torch.float32
        assert value.isfinite().all()
        assert features.grad.isfinite().all()
        exact = confusion_contrastive(
            **{**values, "features": features.detach().float()}, similarity=similarity, reduction=reduction
        )
        torch.testing.assert_close(value.detach(), exact, rtol=0, atol=0)


def test_from_fresh_trackers_it_is_zero_and_then_pulls_to_the_own_prototype() -> None:
    tracker, bank = ConfusionTracker(M, C), PrototypeBank(M, C, D)
    features = torch.randn(M, B, D, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 1, 2, 3])

    def loss(h: torch.Tensor) -> torch.Tensor:
        return confusion_contrastive(h, target, bank.prototypes, *tracker.most_confused(target, 3)).sum()

    assert loss(features) == 0
    bank.update(features, target)
    tracker.update(((target + 1) % 4).expand(M, -1), target)
    moved = torch.randn(M, B, D, generator=torch.Generator().manual_seed(2)).requires_grad_()
    before = loss(moved)
    (gradient,) = torch.autograd.grad(before, moved)
    assert 0 < loss(moved - 0.01 * gradient) < before
