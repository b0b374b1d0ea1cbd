"""Methods that contrast projected views, against loops written from the formulas."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from longtail.method import Method, Stage
from longtail.methods import find
from longtail.types import Batch, InputError, ModelOutput, Progress

COUNTS = torch.tensor([20, 50, 7, 1, 3])
C, D, B = 5, 4, 6
TARGET = torch.tensor([0, 1, 0, 4, 2, 0])
NOW = Progress("train", 0, 200, 0, 0, 0)


def build(name: str, num_experts: int = 2, **options: Any) -> Method:
    torch.manual_seed(0)
    return find(name)(find(name).Options(name=name, **options), COUNTS, num_experts, D).double()


def example(views: int, num_experts: int = 2) -> tuple[ModelOutput, Batch]:
    generator = torch.Generator().manual_seed(1)
    sizes = (views * B, D), (views * B, C), (C, D)
    made = [torch.randn(num_experts, *size, dtype=torch.float64, generator=generator) for size in sizes]
    batch = Batch(torch.zeros(views * B, 3, 4, 4), TARGET, torch.arange(B), keys=torch.tensor([3, 4]))
    return ModelOutput(made[0], made[1], {"classifier": made[2], "scale": torch.tensor(1.0)}), batch


def network(projection: nn.Module, rows: Tensor, expert: int, norm: bool) -> Tensor:
    """The projection of one expert by PyTorch's layers, its result of length 1."""
    first, second = projection.weights
    hidden = nn.functional.linear(rows, first[expert], projection.biases[0][expert, 0])
    if norm:
        scale, shift = projection.scales[0][expert, 0], projection.shifts[0][expert, 0]
        hidden = nn.functional.batch_norm(hidden, None, None, scale, shift, training=True)
    result = nn.functional.linear(hidden.relu(), second[expert], projection.biases[1][expert, 0])
    return nn.functional.normalize(result, dim=-1).detach()


def cross_entropy(logits: Tensor, target: Tensor) -> float:
    rows = zip(logits.tolist(), target.tolist(), strict=True)
    return sum(math.log(sum(map(math.exp, z))) - z[y] for z, y in rows) / len(target)


def test_bcl_is_its_two_terms() -> None:
    method = build("bcl", hidden=7, projection=3, temperature=0.5)
    output, batch = example(3)
    terms = method.loss(output, batch, NOW)
    adjusted, contrast = 0.0, 0.0
    for m in range(2):
        adjusted += cross_entropy(output.logits[m, :B] + COUNTS.log(), TARGET)
        views = network(method.projection, output.features[m, B:], m, norm=True)
        centres = network(method.centres, output.aux["classifier"][m], m, norm=True)
        keys, labels = torch.cat((views, centres)), [*TARGET.tolist(), *TARGET.tolist(), *range(C)]
        for i in range(2 * B):
            others = [k for k in range(len(keys)) if k != i]
            score = {k: math.exp(float(keys[i] @ keys[k]) / 0.5) for k in others}
            size = {k: sum(labels[j] == labels[k] for j in others) for k in others}
            total = sum(score[k] / size[k] for k in others)
            positives = [k for k in others if labels[k] == labels[i]]
            contrast -= sum(math.log(score[k] / total) for k in positives) / len(positives) / (2 * B)
    assert terms["logit_adjustment"].item() == pytest.approx(2 * adjusted)
    assert terms["contrastive"].item() == pytest.approx(0.6 * contrast)


def test_bcl_trains_the_classifier_by_its_centres_too() -> None:
    output, batch = example(3)
    output.aux["classifier"].requires_grad_()
    build("bcl").loss(output, batch, NOW)["contrastive"].backward()
    assert output.aux["classifier"].grad.abs().sum() > 0


@pytest.mark.parametrize("anchors_as_keys", [True, False])
def test_paco_shares_one_softmax_between_classes_and_keys(anchors_as_keys: bool) -> None:
    method = build(
        "paco", projection=3, queue=30, key_weight=0.2, temperature=0.5, anchors_as_keys=anchors_as_keys
    )
    output, batch = example(2)
    taught = torch.randn(2, 2 * B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    batch = replace(batch, aux={"teacher_features": taught})
    method.observe(output, batch, NOW)
    method.observe(output, batch, NOW)  # 24 of 30 keys are there
    expected = 0.0
    for m in range(2):
        own = network(method.projection, output.features[m], m, norm=False)
        slow = network(method.projection, taught[m], m, norm=False)
        keys = torch.cat((own, slow, slow) if anchors_as_keys else (slow, slow))
        labels = TARGET.repeat(len(keys) // B).tolist()
        for i, y in enumerate(TARGET.repeat(2).tolist()):
            prior = [math.log(n / 81) for n in COUNTS.tolist()]
            terms = [math.exp(z + p) for z, p in zip(output.logits[m, i].tolist(), prior, strict=True)]
            there = [k for k in range(len(keys)) if not (anchors_as_keys and k == i)]
            score = {k: math.exp(float(own[i] @ keys[k]) / 0.5) for k in there}
            total = sum(terms) + sum(score.values())
            positive = [math.log(score[k] / total) for k in there if labels[k] == y]
            said = math.log(terms[y] / total) + 0.2 * sum(positive)
            expected -= said / (1 + 0.2 * len(positive)) / (2 * B)
    (term,) = method.loss(output, batch, NOW).values()
    assert term.item() == pytest.approx(expected)


def test_paco_follows_the_network_slowly() -> None:
    method, model = build("paco", decay=0.75), nn.Linear(2, 2).double()
    method.start(model)
    assert method.teacher.training
    assert not any(
        p.requires_grad for p in [*method.teacher.parameters(), *method.key_projection.parameters()]
    )
    with torch.no_grad():
        before = model.bias.clone(), method.projection.biases[0].clone()
        model.bias.add_(4)
        method.projection.biases[0].add_(4)
        method.after_step(model, NOW)
    torch.testing.assert_close(method.teacher.bias, before[0] + 1)
    torch.testing.assert_close(method.key_projection.biases[0], before[1] + 1)


@pytest.mark.parametrize("name", ["bcl", "paco"])
def test_predictions_are_the_bare_logits_and_stand_for_balanced_classes(name: str) -> None:
    method, output = build(name), example(1)[0]
    torch.testing.assert_close(method.logits(output), output.logits.mean(0))
    torch.testing.assert_close(
        method.assumed_log_prior(Stage("train", 1)), torch.zeros(C, dtype=torch.float64)
    )


CONTRAST = Progress("contrast", 0, 160, 0, 0, 0)


def softmax_share(keys: Tensor, i: int, k: int, among: list[int], temperature: float) -> float:
    """log p of key k for anchor i among other keys."""
    score = {j: float(keys[i] @ keys[j]) / temperature for j in among}
    return score[k] - math.log(sum(map(math.exp, score.values())))


@pytest.mark.parametrize("count", [0, 1, 6])
def test_kcl_draws_few_positives_and_always_the_other_view(count: int) -> None:
    method, batch = build("tsc", positives=count), example(2)[1]
    seen, alike = set(), []
    for word in range(20):
        drawn = method._drawn(replace(batch, keys=torch.tensor([word, 4])))
        for i, row in enumerate(drawn):
            own_class = int((TARGET[i % B] == TARGET).sum())
            chosen = row.nonzero()[:, 0].tolist()
            assert (i + B) % (2 * B) in chosen
            assert i not in chosen
            assert {int(TARGET[k % B]) for k in chosen} == {int(TARGET[i % B])}
            assert len(chosen) == 1 + min(count, 2 * own_class - 2)
            seen |= {(i, k) for k in chosen}
        drawn = drawn & (torch.arange(2 * B) % B != torch.arange(2 * B).unsqueeze(1) % B)
        alike.append(torch.equal(drawn[:B], drawn[B:]))
    pairs = sum(int((y == TARGET).sum()) * 2 - 1 for y in TARGET) * 2
    assert len(seen) == (2 * B if count == 0 else pairs)  # every other one of the class is drawn some time
    assert all(alike) == (count != 1)  # each view draws for itself


@pytest.mark.parametrize("copies", [0, 3])
def test_tsc_contrasts_drawn_positives_and_copies_of_the_targets(copies: int) -> None:
    method = build("tsc", projection=5, positives=1, target_copies=copies, temperature=0.5)
    output, batch = example(2)
    drawn, expected = method._drawn(batch), 0.0
    method.order.copy_(torch.tensor([2, 0, 1, 4, 3]))
    targets = method.targets[[2, 0, 1, 4, 3]].repeat(copies, 1)
    for m in range(2):
        keys = torch.cat((network(method.projection, output.features[m], m, norm=False), targets))
        for i in range(2 * B):
            others = [k for k in range(len(keys)) if k != i]
            positives = [k for k in range(2 * B) if drawn[i, k]]
            positives += [2 * B + copy * C + int(TARGET[i % B]) for copy in range(copies)]
            said = [softmax_share(keys, i, k, others, 0.5) for k in positives]
            expected -= sum(said) / len(said) / (2 * B)
    (term,) = method.loss(output, batch, CONTRAST).values()
    assert term.item() == pytest.approx(expected)


def test_targets_match_the_centres_of_classes_when_an_epoch_begins() -> None:
    method = build("tsc", projection=5, assignment="matched", centre_decay=0.0)
    wanted = torch.tensor([3, 0, 4, 1, 2])
    projected = method.targets[wanted].repeat_interleave(2, 0).expand(2, -1, -1)
    method.projection = nn.Identity()
    features, labels = torch.cat((projected, projected), 1), torch.arange(C).repeat_interleave(2)
    batch = Batch(torch.zeros(20, 3, 4, 4), labels, torch.arange(10), keys=torch.tensor([3, 4]))
    method.observe(ModelOutput(features, torch.zeros(2, 20, C)), batch, CONTRAST)
    assert method.order.tolist() == list(range(C))
    method.start_epoch(CONTRAST)
    assert torch.equal(method.order, wanted)


def test_tsc_refuses_targets_that_have_no_room() -> None:
    with pytest.raises(InputError, match=r"projection = 3 .* set it to 4 or more"):
        build("tsc", projection=3)
    build("tsc", projection=3, target_copies=0)


@pytest.mark.parametrize("name", ["tsc", "sbcl"])
def test_features_are_trained_on_two_views_and_classifiers_on_the_third(name: str) -> None:
    contrast, classifier = find(name).stages(find(name).Options(name=name, classifier_epochs=30), 200)
    assert (contrast.epochs, classifier.epochs) == (170, 30)
    names = ["trunk.stem.conv.weight", "experts.0.x", "heads.first.weight", "method.projection.weights.0"]
    assert [contrast.trains(each) for each in names] == [True, True, False, True]
    assert [classifier.trains(each) for each in names] == [False, False, True, False]
    assert (classifier.batch_norm, classifier.weight_decay) == ("eval", 0.0)
    image = torch.arange(3.0 * B).view(3 * B, 1, 1, 1).expand(3 * B, 3, 2, 2)
    batch, method = Batch(image, TARGET, torch.arange(B)), build(name)
    torch.testing.assert_close(method.prepare(batch, CONTRAST).image, image[: 2 * B])
    then = Progress("classifier", 0, 30, 170, 0, 0)
    torch.testing.assert_close(method.prepare(batch, then).image, image[2 * B :])


@pytest.mark.parametrize("epoch", [9, 10])
def test_sbcl_contrasts_subclasses_and_then_the_rest_of_the_class(epoch: int) -> None:
    method = build("sbcl", projection=3, temperature=0.5)
    output, batch = example(2)
    subclass, own = torch.tensor([0, 1, 0, 2, 3, 4]), torch.tensor([0.3, 0.5, 0.4, 0.6, 0.5])
    method.subclass[:B], method.temperature[:] = subclass, own
    near, rest = 0.0, 0.0
    for m in range(2):
        keys = network(method.projection, output.features[m], m, norm=False)
        for i in range(2 * B):
            others = [k for k in range(2 * B) if k != i]
            inside = [k for k in others if subclass[k % B] == subclass[i % B]]
            of_class = [k for k in others if TARGET[k % B] == TARGET[i % B]]
            outside = [k for k in of_class if k not in inside or k == (i + B) % (2 * B)]
            first = of_class if epoch < 10 else inside
            near -= sum(softmax_share(keys, i, k, others, 0.5) for k in first) / len(first) / (2 * B)
            among, t = [k for k in others if k not in inside or k in outside], float(own[TARGET[i % B]])
            rest -= sum(softmax_share(keys, i, k, among, t) for k in outside) / len(outside) / (2 * B)
    factor = 0.5 / 0.07
    expected = [near] if epoch < 10 else [factor * near, 0.25 * rest]
    terms = method.loss(output, batch, replace(CONTRAST, epoch=epoch))
    assert [term.item() for term in terms.values()] == pytest.approx(expected)


def test_sbcl_cuts_every_ten_epochs_classes_into_subclasses_of_the_size_of_the_smallest() -> None:
    counts = torch.tensor([4, 9, 2])
    method = find("sbcl")(find("sbcl").Options(name="sbcl", smallest_subclass=3), counts, 2, D)
    stages = method.stages(method.options, 75)
    assert list(method.survey_epochs(stages[0])) == [10, 20, 30]
    assert list(method.survey_epochs(stages[1])) == []
    targets = torch.arange(3).repeat_interleave(counts)
    features = torch.randn(2, 15, D, generator=torch.Generator().manual_seed(5))
    method.survey(features, targets, replace(CONTRAST, epoch=10))
    found = [set(method.subclass[targets == c].tolist()) for c in range(3)]
    assert [len(one) <= most for one, most in zip(found, (2, 3, 1), strict=True)] == [True] * 3
    assert len(found[1]) > 1
    assert len(set.union(*found)) == sum(map(len, found))
    assert method.temperature[2] == pytest.approx(0.1)  # one subclass
    assert method.temperature[:2].unique().numel() == 2
    before = method.subclass.clone()
    method.survey(features, targets, replace(CONTRAST, epoch=10))
    assert torch.equal(method.subclass, before)


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["linear", "cosine"])
def test_sbcl_trains_its_classifier_by_ldam_with_weights_after_the_first_fall(scale: float) -> None:
    method, (output, batch) = build("sbcl"), example(1)
    output = output._replace(aux={"scale": torch.tensor(scale)})
    weights = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS.tolist()]
    margins = [scale * 0.5 * (1 / n) ** 0.25 for n in COUNTS.tolist()]
    raised = output.logits.clone()
    for i, y in enumerate(TARGET.tolist()):
        raised[:, i, y] -= margins[y]
    each = [[cross_entropy(z[None], y[None]) for z, y in zip(own, TARGET, strict=True)] for own in raised]
    drawn = [weights[y] for y in TARGET.tolist()]
    plain = sum(sum(own) / B for own in each)
    weighted = sum(sum(w * one for w, one in zip(drawn, own, strict=True)) / sum(drawn) for own in each)
    for epoch, expected in ((0, plain), (27, plain), (28, weighted), (39, weighted)):
        (term,) = method.loss(output, batch, Progress("classifier", epoch, 40, 160 + epoch, 0, 0)).values()
        assert term.item() == pytest.approx(expected, rel=1e-5)
    stage = method.stages(method.options, 200)[1]
    assert (stage.milestones, stage.decay_factor, stage.sampler) == ((28, 36), 0.01, "instance")
    for length, weighs in ((2, False), (4, True)):  # too short for a fall of the rate: no weights
        prior = method.assumed_log_prior(Stage("classifier", length)) - COUNTS.double().log()
        assert bool(prior.any()) == weighs
