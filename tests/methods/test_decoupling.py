"""Methods with a second stage or an end of their own for the classifiers: stages, losses, what is done to weights."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from longtail import draws
from longtail.method import HeldOut, Method, Stage
from longtail.methods import find
from longtail.models import ModelOptions, build_model
from longtail.recipe import load_recipe
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
LOGITS = 2 * torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
FEATURES = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))
OUTPUT = ModelOutput(FEATURES, LOGITS)
TARGETS = [0, 1, 2, 3, 4, 0, 1, 2, 3]
BATCH = Batch(torch.zeros(9, 3, 4, 4), torch.tensor(TARGETS), torch.arange(9), keys=torch.tensor([3, 4]))


def build(name: str, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def stages(name: str, epochs: int = 200, **options: Any) -> tuple[Stage, ...]:
    return find(name).stages(find(name).Options(name=name, **options), epochs)


def cross_entropy(row: list[float], target: int) -> float:
    return math.log(sum(math.exp(z) for z in row)) - row[target]


def total(method: Method, stage: str, output: ModelOutput = OUTPUT) -> float:
    terms = method.loss(output, BATCH, Progress(stage, 0, 20, 180, 0, 0))
    return sum(term.item() for term in terms.values())


def of_rows(logits: torch.Tensor) -> float:
    return sum(cross_entropy(logits[m, i].tolist(), y) / 9 for m in range(2) for i, y in enumerate(TARGETS))


def test_crt_trains_a_fresh_classifier_on_frozen_features() -> None:
    feature, classifier = stages("crt", classifier_peak_lr=0.3)
    assert (feature.epochs, feature.trainable, feature.sampler) == (180, ("*",), "instance")
    assert (classifier.epochs, classifier.trainable, classifier.sampler) == (
        20,
        ("heads.*",),
        "class_balanced",
    )
    assert (classifier.peak_lr, classifier.batch_norm, classifier.warmup_epochs) == (0.3, "eval", 0)
    assert feature.bank != classifier.bank
    assert total(build("crt"), "classifier") == pytest.approx(of_rows(LOGITS), rel=1e-5)
    assert len(stages("crt", classifier_epochs=0)) == 1


def test_lws_trains_one_factor_a_class_and_nothing_else() -> None:
    feature, scale = stages("lws", scale_peak_lr=0.3)
    assert (feature.epochs, scale.epochs, scale.trainable) == (180, 20, ("method.scale",))
    assert (scale.sampler, scale.batch_norm, scale.bank) == ("class_balanced", "eval", feature.bank)
    method = build("lws")
    assert torch.equal(method.expert_logits(OUTPUT), LOGITS)
    factors = torch.tensor([[0.5, 1.0, 2.0, 3.0, 1.5], [1.0, -1.0, 2.0, 0.0, 4.0]])
    with torch.no_grad():
        method.scale.copy_(factors[:, None])
    scaled = LOGITS * factors[:, None, :]
    torch.testing.assert_close(method.logits(OUTPUT), scaled.mean(0))
    assert total(method, "scale") == pytest.approx(of_rows(scaled), rel=1e-5)
    assert total(method, "feature") == pytest.approx(of_rows(LOGITS), rel=1e-5)
    assert method.predicts_with_state


@pytest.mark.parametrize(
    ("name", "decay"), [("crt", "classifier_decay"), ("lws", "scale_decay"), ("h2t", "classifier_decay")]
)
def test_the_second_stage_has_a_weight_decay_of_its_own(name: str, decay: str) -> None:
    for given, wanted in (({}, 5e-4), ({decay: 0.02}, 0.02)):
        feature, second = stages(name, **given)
        assert (feature.weight_decay, second.weight_decay) == (None, wanted)
    recipe, _ = load_recipe(f"{name}-cifar100-lt")
    assert recipe.optim.weight_decay == 2e-4


def network() -> nn.Module:
    torch.manual_seed(0)
    return build_model(ModelOptions(name="resnet20", num_experts=2, head="linear"), 5, ("first",))


def test_tau_divides_rows_by_a_power_of_their_length_and_drops_the_bias() -> None:
    model = network()
    weight, bias = (model.get_parameter(f"heads.first.{name}") for name in ("weight", "bias"))
    before = weight.detach().clone()
    with torch.no_grad():
        said = build("tau_norm", tau=0.6).finalize(model, None)
    for m in range(2):
        for c in range(5):
            length = math.sqrt(sum(w * w for w in before[m, c].tolist()))
            torch.testing.assert_close(weight[m, c], before[m, c] / length**0.6)
    assert not bias.any()
    assert said is not None
    assert "0.6" in said


@pytest.mark.parametrize("choose", [True, False])
def test_tau_is_chosen_by_the_mean_accuracy_of_classes(choose: bool) -> None:
    """Of class 0 (long weights) there are 20 images, of class 1 two: these are won where five others are lost."""
    model = network()
    weight = model.get_parameter("heads.first.weight")
    with torch.no_grad():
        weight.zero_()
        weight[:, 0, 0], weight[:, 1, 1], weight[:, 2:, 2] = 4.0, 1.0, 0.001
    features = torch.zeros(2, 22, weight.shape[2])
    features[:, :20, 0], features[:, :20, 1] = 1.0, 0.5  # right as long as 4^(1 - tau) > 0.5: up to 1.4
    features[:, :5, 0], features[:, :5, 1] = 0.5, 0.95  # and five of them up to 0.5 only
    features[:, 20:, 0], features[:, 20:, 1] = 0.5, 1.0  # right as soon as 4^(1 - tau) < 2: from 0.6 on
    targets = torch.tensor([0] * 20 + [1] * 2)
    held_out = HeldOut(features, features @ weight.detach().mT, targets)
    with torch.no_grad():
        said = build("tau_norm", tau=0.3, choose=choose).finalize(model, held_out)
    length = weight[0, 0].norm().item()
    assert length == pytest.approx(4 ** (1 - (0.6 if choose else 0.3)), rel=1e-5)
    assert said is not None
    assert ("validation" in said) == choose


def test_tau_normalised_logits_stand_for_balanced_classes() -> None:
    assert not build("tau_norm").assumed_log_prior(Stage("train", 200)).any()


def test_weight_balancing_goes_on_with_the_classifiers_under_strong_decay() -> None:
    feature, classifier = stages("weight_balancing", 210)
    assert (feature.epochs, classifier.epochs, classifier.weight_decay) == (200, 10, 0.1)
    assert (classifier.bank, classifier.trainable, classifier.peak_lr) == (feature.bank, ("heads.*",), 0.01)
    method, expected = build("weight_balancing"), 0.0
    weight = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS.tolist()]
    for m in range(2):
        each = [weight[y] * cross_entropy(LOGITS[m, i].tolist(), y) for i, y in enumerate(TARGETS)]
        expected += sum(each) / sum(weight[y] for y in TARGETS)
    assert total(method, "classifier") == pytest.approx(expected, rel=1e-4)
    assert total(method, "feature") == pytest.approx(of_rows(LOGITS), rel=1e-5)


@pytest.mark.parametrize("bounded", [True, False])
def test_rows_of_classifiers_stay_in_the_ball_set_when_stage_two_begins(bounded: bool) -> None:
    model, method = network(), build("weight_balancing", max_norm=0.25, bounded=bounded)
    weight = model.get_parameter("heads.first.weight")
    lengths = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 2.0, 2.0, 2.0, 10.0]])
    with torch.no_grad():
        weight.mul_(lengths[..., None] / weight.norm(dim=-1, keepdim=True))
        before = weight.clone()
        method.after_step(model, Progress("feature", 3, 10, 3, 0, 0))
        torch.testing.assert_close(weight, before, rtol=0, atol=0)
        weight.mul_(1.5)
        method.after_step(model, Progress("classifier", 0, 10, 10, 0, 0))
    radius = torch.tensor([[2.0], [4.0]])  # 1 + (5 - 1) / 4, 2 + (10 - 2) / 4
    expected = torch.minimum(1.5 * lengths, radius) if bounded else 1.5 * lengths
    torch.testing.assert_close(weight.norm(dim=-1), expected)
    direction = torch.nn.functional.normalize(before, dim=-1)
    torch.testing.assert_close(torch.nn.functional.normalize(weight.detach(), dim=-1), direction)


def test_mislas_smooths_labels_of_frequent_classes_more() -> None:
    method = build("mislas")
    factors = torch.tensor([[0.5, 1.0, 2.0, 3.0, 1.5], [1.0, -1.0, 2.0, 0.5, 4.0]])
    with torch.no_grad():
        method.scale.copy_(factors[:, None])
    smooth = [0.1 + 0.3 * math.sin(math.pi / 2 * (n - 1) / 49) for n in COUNTS.tolist()]
    assert (smooth[3], smooth[0]) == pytest.approx((0.1, 0.4))
    expected = 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            row = [f * z for f, z in zip(factors[m].tolist(), LOGITS[m, i].tolist(), strict=True)]
            every = sum(cross_entropy(row, c) for c in range(5)) / 5
            expected += ((1 - smooth[y]) * cross_entropy(row, y) + smooth[y] * every) / 9
    assert total(method, "classifier") == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(method.logits(OUTPUT), (LOGITS * factors[:, None]).mean(0))


def test_mislas_mixes_images_in_its_first_stage_alone() -> None:
    method, now = build("mislas"), Progress("feature", 0, 10, 0, 0, 0)
    batch = replace(BATCH, image=torch.randn(9, 3, 4, 4, generator=torch.Generator().manual_seed(2)))
    mixed = method.prepare(batch, now)
    share, other = mixed.aux["share"].item(), mixed.aux["other"].tolist()
    partner = draws.permutation(batch, slot=1).tolist()
    expected = 0.0
    for i, y in enumerate(TARGETS):
        torch.testing.assert_close(
            mixed.image[i], share * batch.image[i] + (1 - share) * batch.image[partner[i]]
        )
        for m in range(2):
            row = LOGITS[m, i].tolist()
            expected += (share * cross_entropy(row, y) + (1 - share) * cross_entropy(row, other[i])) / 9
    (term,) = method.loss(OUTPUT, mixed, now).values()
    assert term.item() == pytest.approx(expected, rel=1e-5)
    assert method.prepare(batch, replace(now, stage="classifier")) is batch


def test_the_second_stage_of_mislas() -> None:
    feature, classifier = stages("mislas", 210)
    assert (feature.epochs, classifier.epochs, classifier.sampler) == (200, 10, "class_balanced")
    assert (classifier.bank, classifier.batch_norm) == (feature.bank, "train")
    assert classifier.trainable == ("heads.*", "method.scale")
    assert classifier.lr_shares == (("heads.*", 0.2),)
    assert stages("mislas", 210, classifier_lr_share=0.0)[1].trainable == ("method.scale",)
