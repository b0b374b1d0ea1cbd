import math
from itertools import permutations, product

import pytest
import torch

from longtail.losses import (
    adaptive_diversity,
    adaptive_diversity_floored,
    adaptive_diversity_squared,
    feature_distance,
)

M, B, D = 3, 4, 5
COSINE_FORMS = {
    adaptive_diversity: lambda cosine: cosine,
    adaptive_diversity_floored: lambda cosine: max(cosine, 0.0),
    adaptive_diversity_squared: lambda cosine: cosine**2,
}
each_cosine = pytest.mark.parametrize("loss", COSINE_FORMS, ids=lambda f: f.__name__)
each = pytest.mark.parametrize("loss", [*COSINE_FORMS, feature_distance], ids=lambda f: f.__name__)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(M, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


@each_cosine
def test_cosine_forms_agree_with_the_pairs(loss, features) -> None:
    rows = features.tolist()
    pairs = list(permutations(range(M), 2))
    expected = sum(COSINE_FORMS[loss](cosine(rows[m][i], rows[n][i])) for i in range(B) for m, n in pairs) / B
    assert loss(features).item() == pytest.approx(expected, rel=1e-12)


def test_distance_agrees_with_the_pairs(features) -> None:
    rows = features.flatten(0, 1).tolist()
    expected = sum(math.dist(a, b) for a, b in product(rows, rows)) / len(rows) ** 2
    assert feature_distance(features).item() == pytest.approx(expected, rel=1e-12)


@each
def test_the_order_of_experts_and_images_changes_nothing(loss, features) -> None:
    torch.testing.assert_close(loss(features[[2, 0, 1]][:, [3, 1, 0, 2]]), loss(features))


@each_cosine
def test_scale_changes_no_cosine(loss, features) -> None:
    scale = torch.rand(M, B, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    torch.testing.assert_close(loss(features * scale), loss(features))


@each
def test_one_step_lowers_it(loss, features) -> None:
    features = features.abs().requires_grad_()  # away from the flat part of the floored form
    value = loss(features)
    (gradient,) = torch.autograd.grad(value, features)
    assert loss(features - 0.1 * gradient) < value


def test_the_floor_is_minus_the_number_of_experts() -> None:
    angles = torch.arange(3) * 2 * math.pi / 3
    balanced = torch.stack((angles.cos(), angles.sin()), -1).unsqueeze(1)
    assert adaptive_diversity(balanced).item() == pytest.approx(-3, abs=1e-5)
    assert adaptive_diversity_floored(balanced).item() == 0


@each_cosine
def test_one_expert_has_no_pair(loss, features) -> None:
    alone = features[:1].requires_grad_()
    value = loss(alone)
    value.backward()
    assert value.abs() < 1e-15
    assert alone.grad.abs().max() < 1e-15


@each
def test_gradients(loss, features) -> None:
    assert torch.autograd.gradcheck(loss, features.requires_grad_())


@each_cosine
def test_a_zero_vector_has_no_cosine_and_no_gradient(loss, features) -> None:
    features[1, 2] = 0
    features.requires_grad_()
    value = loss(features)
    value.backward()
    rest = loss(features[:, [0, 1, 3]].detach()) * 3 + loss(features[[0, 2]][:, [2]].detach())
    torch.testing.assert_close(value.detach() * B, rest)
    assert features.grad[1, 2].abs().max() == 0
    assert features.grad.isfinite().all()


def test_equal_rows_have_finite_gradient() -> None:
    features = torch.ones(M, B, D, requires_grad=True)
    value = feature_distance(features)
    value.backward()
    assert value == 0
    assert features.grad.abs().max() == 0


@each
@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_small_and_large_features_stay_finite(loss, features, size) -> None:
    features = (features.float() * size).requires_grad_()
    value = loss(features)
    value.backward()
    assert value.isfinite()
    assert features.grad.isfinite().all()


@each
def test_half_precision_is_computed_in_float32(loss, features) -> None:
    half = features[:, :1].bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value, in_float = loss(half), loss(half.float())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float()), rtol=0, atol=0)
    torch.testing.assert_close(value, in_float, rtol=0, atol=0)
