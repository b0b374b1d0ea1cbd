"""Methods that draw a second batch, against loops written from the formulas."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from longtail.engine.runtime import building_in
from longtail.method import Method, Stage
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
C, D, B = 5, 4, 6
TARGET, OTHER = torch.tensor([0, 1, 0, 4, 2, 0]), torch.tensor([3, 1, 2, 0, 0, 4])
NOW = Progress("train", 50, 200, 50, 0, 0)
DOUBLE = {"dtype": torch.float64, "generator": torch.Generator().manual_seed(0)}


def build(name: str, num_experts: int = 2, **options: Any) -> Method:
    torch.manual_seed(0)
    with building_in(torch.float64):
        method = find(name)(find(name).Options(name=name, **options), COUNTS, num_experts, D)
    method.start_epoch(NOW)
    return method


def given(views: int = 1) -> Batch:
    """Images that say which they are: A's are 1, 2, ..., B's -1, -2, ..., in each view the same."""
    image = (
        torch.arange(1.0, B + 1, dtype=torch.float64)
        .view(B, 1, 1, 1)
        .expand(B, 3, 8, 8)
        .repeat(views, 1, 1, 1)
    )
    keys = torch.tensor([3, 4])
    other = Batch(-image, OTHER, torch.arange(B) + 20, keys=keys)
    return Batch(image, TARGET, torch.arange(B), keys=keys, other=other)


def randn(*size: int) -> Tensor:
    return torch.randn(*size, **DOUBLE)


def cross_entropy(logits: Tensor, labels: Tensor, weight: list[float] | None = None) -> float:
    """Mean over the rows of -sum_c t_c w_c log p_c."""
    total = 0.0
    for z, t in zip(logits.tolist(), labels.tolist(), strict=True):
        whole = math.log(sum(map(math.exp, z)))
        total += sum((weight[c] if weight else 1.0) * t[c] * (whole - z[c]) for c in range(C))
    return total / len(logits)


def mixed(share: float) -> Tensor:
    return share * nn.functional.one_hot(TARGET, C) + (1 - share) * nn.functional.one_hot(OTHER, C).double()


def sampler(name: str, **options: Any) -> tuple[str, str | None, float]:
    (stage,) = find(name).stages(find(name).Options(name=name, **options), 200)
    return stage.sampler, stage.second_sampler, stage.sampler_power


def test_the_second_batches_are_the_published_ones() -> None:
    assert sampler("bbn")[:2] == ("instance", "reverse")
    assert sampler("dbn_mix")[:2] == ("instance", "class_balanced")
    assert sampler("glmc", power=0.8) == ("instance", "power", 0.8)


@pytest.mark.parametrize("epoch", [0, 50, 199])
def test_bbn_moves_from_the_first_branch_to_the_second(epoch: int) -> None:
    method, batch = build("bbn"), given()
    now = replace(NOW, epoch=epoch)
    method.start_epoch(now)
    a = 1 - (epoch / 200) ** 2
    batch = method.prepare(batch, now)
    torch.testing.assert_close(batch.image, torch.cat((given().image, given().other.image)))
    features, weight, bias = randn(2, 2 * B, D), randn(2, C, D), randn(2, 1, C)
    seen = method.mix(features, batch, now)
    output = ModelOutput(seen, seen @ weight.mT + bias)
    z = 2 * (a * features[0, :B] @ weight[0].T + (1 - a) * features[1, B:] @ weight[1].T) + bias.sum(0)
    (term,) = method.loss(output, batch, now).values()
    assert term.item() == pytest.approx(cross_entropy(z, mixed(a)))
    alone = randn(2, B, D)
    torch.testing.assert_close(
        method.logits(ModelOutput(alone, alone @ weight.mT + bias)),
        torch.cat((*alone,), 1) @ torch.cat((*weight,), 1).T + bias.sum(0),
    )


def test_dbn_mix_mixes_both_ways_and_the_first_branch_sees_more_of_the_images_as_they_come() -> None:
    method, raw = build("dbn_mix"), given()
    batch = method.prepare(raw, NOW)
    share = batch.aux["share"].item()
    assert 0.5 < share < 1
    torch.testing.assert_close(batch.image[:B], share * raw.image + (1 - share) * raw.other.image)
    torch.testing.assert_close(batch.image[B:], (1 - share) * raw.image + share * raw.other.image)
    features = randn(2, 2 * B, D)
    torch.testing.assert_close(
        method.mix(features, batch, NOW), torch.stack((features[0, :B], features[1, B:]))
    )


def test_dbn_mix_is_binary_cross_entropy_of_tempered_softmax() -> None:
    method = build("dbn_mix", epsilon=0.4, eta=3.0)
    batch, logits = method.prepare(given(), NOW), 2 * randn(2, B, C)
    share = batch.aux["share"].item()
    phi = [0.4 * C * n / 50 + 0.6 for n in COUNTS.tolist()]
    expected = []
    for branch, labels in ((0, mixed(share)), (1, mixed(1 - share))):
        total = 0.0
        for z, t in zip(logits[branch].tolist(), labels.tolist(), strict=True):
            e = [math.exp(one / (max(phi) / own) ** (1 / 3)) for one, own in zip(z, phi, strict=True)]
            p = [one / sum(e) for one in e]
            total -= sum(t[c] * math.log(p[c]) + (1 - t[c]) * math.log(1 - p[c]) for c in range(C))
        expected.append(total / B / 2)
    terms = method.loss(ModelOutput(randn(2, B, D), logits), batch, NOW)
    assert [term.item() for term in terms.values()] == pytest.approx(expected)
    torch.testing.assert_close(method.logits(ModelOutput(randn(2, B, D), logits)), logits.mean(0))


def test_glmc_mixes_one_view_by_shares_and_the_other_by_a_box() -> None:
    method, raw = build("glmc"), given(2)
    shares = []
    for seed in range(40):
        batch = method.prepare(replace(raw, keys=torch.tensor([3, seed])), NOW)
        share = batch.aux["share"].item()
        first, other = raw.image[:B], raw.other.image[:B]
        torch.testing.assert_close(batch.image[:B], share * first + (1 - share) * other)
        pasted = batch.image[B:] == raw.other.image[B:]
        assert torch.equal(batch.image[B:], torch.where(pasted, raw.other.image[B:], raw.image[B:]))
        assert torch.equal(pasted, pasted[:1, :1].expand_as(pasted))
        rows, columns = pasted[0, 0].any(1).sum().item(), pasted[0, 0].any(0).sum().item()
        assert pasted[0, 0].sum().item() == rows * columns  # a box
        side = 2 * (int(8 * math.sqrt(1 - share)) // 2)
        assert max(rows, columns) <= side
        assert min(rows, columns) >= side // 2  # clipped at a corner
        shares.append(share)
    assert min(shares) < 0.1
    assert max(shares) > 0.9


def test_glmc_is_its_three_terms() -> None:
    method = build("glmc", projection=3).requires_grad_(False)
    batch, features, logits = method.prepare(given(2), NOW), randn(2, 2 * B, D), randn(2, 2 * B, C)
    a, labels = 1 - (50 / 200) ** 2, mixed(batch.aux["share"].item())
    raw = [n**-1.2 for n in COUNTS.tolist()]
    weight = [C * one / sum(raw) for one in raw]
    plain, weighted, agreement = 0.0, 0.0, 0.0
    for m in range(2):
        own = features[m] @ method.plain.weights[0][m].T + method.plain.biases[0][m]
        for view in (slice(0, B), slice(B, 2 * B)):
            plain += cross_entropy(own[view], labels)
            weighted += cross_entropy(logits[m, view], labels, weight)
        p = method.projection(features)
        q = nn.functional.normalize(method.predictor(p)[m], dim=-1)
        p = nn.functional.normalize(p[m], dim=-1)
        pairs = [(i, i + B) for i in range(B)] + [(i + B, i) for i in range(B)]
        agreement -= sum(float(q[i] @ p[j]) for i, j in pairs) / (2 * B)
    terms = method.loss(ModelOutput(features, logits), batch, NOW)
    assert terms["plain"].item() == pytest.approx(a * plain)
    assert terms["weighted"].item() == pytest.approx((1 - a) * weighted)
    assert terms["agreement"].item() == pytest.approx(8 * agreement)  # weight 4, both directions


def test_no_gradient_goes_through_what_glmc_predicts() -> None:
    method = build("glmc", num_experts=1, projection=3)
    batch, features = method.prepare(given(2), NOW), randn(1, 2 * B, D).requires_grad_()
    method.loss(ModelOutput(features, randn(1, 2 * B, C)), batch, NOW)["agreement"].backward()
    held = method.projection(features).detach()
    again = features.detach().clone().requires_grad_()
    value = nn.functional.cosine_similarity(
        method.predictor(method.projection(again)), held.roll(B, 1), dim=-1
    )
    (-8 * value.mean()).backward()
    torch.testing.assert_close(features.grad, again.grad)


def relative(prior: Tensor) -> list[float]:
    return (prior - prior[0]).tolist()


def test_what_their_predictions_stand_for() -> None:
    stage = Stage("train", 1)
    assert relative(build("bbn").assumed_log_prior(stage)) == [0.0] * C
    parts = (0.75, 0.25)  # the mean of the larger and the smaller of l and 1 - l
    first, second = [(part * COUNTS.double() / 81 + (1 - part) / C).log() for part in parts]
    expected = relative((first + second) / 2)
    assert relative(build("dbn_mix").assumed_log_prior(stage)) == pytest.approx(expected, abs=1e-3)
    expected = relative(-0.2 * COUNTS.double().log())
    assert relative(build("glmc").assumed_log_prior(stage)) == pytest.approx(expected, abs=1e-6)
