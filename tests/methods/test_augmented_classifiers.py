"""Methods that tune classifiers on features made up of several images': against loops over channels and classes."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from longtail import draws
from longtail.engine.schedule import learning_rate
from longtail.method import Method, Stage
from longtail.methods import find
from longtail.recipe import load_recipe
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
G = torch.Generator().manual_seed(0)
LOGITS, FEATURES = 2 * torch.randn(2, 9, 5, generator=G), torch.randn(2, 9, 4, generator=G)
IMAGES, WEIGHTS = torch.randn(18, 3, 4, 4, generator=G), torch.randn(2, 5, 4, generator=G)
TARGETS = [0, 1, 2, 3, 4, 0, 1, 2, 3]
KEYS = torch.tensor([3, 4])
OTHER = Batch(IMAGES[9:], torch.zeros(9, dtype=torch.int64), torch.arange(9, 18), keys=KEYS)
BATCH = Batch(IMAGES[:9], torch.tensor(TARGETS), torch.arange(9), keys=KEYS, other=OTHER)
OUTPUT = ModelOutput(FEATURES, LOGITS, {"classifier": WEIGHTS})


def build(name: str, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def stages(name: str, epochs: int = 200) -> tuple[Stage, ...]:
    return find(name).stages(find(name).Options(name=name), epochs)


def at(stage: str, epoch: int = 0, total: int = 160) -> Progress:
    return Progress(stage, epoch, 160 if stage == "feature" else 40, total, 0, 0)


def cross_entropy(row: list[float], target: int) -> float:
    return math.log(sum(math.exp(z) for z in row)) - row[target]


def total(method: Method, stage: str, batch: Batch = BATCH) -> float:
    return sum(term.item() for term in method.loss(OUTPUT, batch, at(stage)).values())


def plain() -> float:
    return sum(cross_entropy(LOGITS[m, i].tolist(), y) / 9 for m in range(2) for i, y in enumerate(TARGETS))


def test_h2t_draws_balanced_images_and_others_for_the_same_classifiers() -> None:
    feature, classifier = stages("h2t", 210)
    assert (feature.epochs, feature.sampler, feature.second_sampler) == (200, "instance", None)
    assert (classifier.sampler, classifier.second_sampler) == ("class_balanced", "instance")
    assert (classifier.bank, classifier.trainable) == (feature.bank, ("heads.*",))
    assert (classifier.peak_lr, classifier.batch_norm) == (0.02, "train")


def test_h2t_mixes_images_in_its_first_stage() -> None:
    method = build("h2t")
    mixed = method.prepare(BATCH, at("feature"))
    share, partner = mixed.aux["share"].item(), draws.permutation(BATCH, slot=1).tolist()
    expected = 0.0
    for i, y in enumerate(TARGETS):
        torch.testing.assert_close(mixed.image[i], share * IMAGES[i] + (1 - share) * IMAGES[partner[i]])
        for m in range(2):
            row = LOGITS[m, i].tolist()
            other = TARGETS[partner[i]]
            expected += (share * cross_entropy(row, y) + (1 - share) * cross_entropy(row, other)) / 9
    assert method.mix(FEATURES, mixed, at("feature")) is FEATURES
    assert total(method, "feature", mixed) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_h2t_replaces_channels_by_those_of_the_other_image(share: float) -> None:
    method = build("h2t", share=share)
    shown = method.prepare(BATCH, at("classifier"))
    assert torch.equal(shown.image, IMAGES)
    both = torch.randn(2, 18, 40, generator=torch.Generator().manual_seed(1))
    fused = method.mix(both, shown, at("classifier"))
    replaced = []
    for channel in range(40):
        own, other = (
            all(fused[m, i, channel] == both[m, i + shift, channel] for m in range(2) for i in range(9))
            for shift in (0, 9)
        )
        assert own != other  # one choice for all images and experts
        replaced.append(other)
    assert sum(replaced) == round(share * 40)
    assert total(method, "classifier") == pytest.approx(plain(), rel=1e-5)
    if share == 0.5:
        again = replace(shown, keys=torch.tensor([3, 5]))
        assert not torch.equal(method.mix(both, again, at("classifier")), fused)


def test_risda_keeps_the_confusion_of_its_best_epoch() -> None:
    method = build("risda")

    def epoch(number: int, right: int) -> None:
        """`right` of the nine images are classified right, all others as class 0."""
        method.start_epoch(at("feature", number, number))
        answers = torch.tensor([y if i < right else 0 for i, y in enumerate(TARGETS)])
        logits = torch.nn.functional.one_hot(answers, 5).float().expand(2, -1, -1)
        method.observe(ModelOutput(FEATURES, logits), BATCH, at("feature", number, number))

    for number, right in enumerate((2, 8, 4)):
        epoch(number, right)
    method.start_epoch(at("classifier"))
    expected = torch.zeros(2, 5, 5)
    for i, y in enumerate(TARGETS):
        expected[:, y, y if i < 8 else 0] += 1
    assert torch.equal(method.best, expected)
    assert not method.confusion.matrix().any()


@pytest.mark.parametrize("diagonal", [False, True])
def test_risda_lets_rare_classes_vary_like_those_they_are_confused_with(diagonal: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    method = build("risda", strength=0.6, shift=0.4, head=0.4, diagonal=diagonal)
    confusion = torch.randint(1, 9, (2, 5, 5), generator=generator).float()
    root = torch.randn(2, 5, 4, 4, generator=generator)
    spread, means = root @ root.mT / 4, torch.randn(2, 5, 4, generator=generator)
    if diagonal:
        spread = torch.diag_embed(spread.diagonal(dim1=2, dim2=3))
    method.start_epoch(at("classifier", 20, 180))  # 180 of 200 epochs are done
    method.best.copy_(confusion)
    method.means.copy_(means)
    method.spread.covariances.copy_(spread.diagonal(dim1=2, dim2=3) if diagonal else spread)
    known = confusion / confusion.sum(2, keepdim=True)
    weight = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS.tolist()]
    weight = [5 * w / sum(weight) for w in weight]
    expected = 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            covariance = spread[m, y]
            if y >= 2:  # two of five classes are head
                covariance = sum(known[m, y, k] * spread[m, k] for k in range(5))
            shift = sum(known[m, y, k] * means[m, k] for k in range(5)) - means[m, y]
            row = []
            for c in range(5):
                v = WEIGHTS[m, c] - WEIGHTS[m, y]
                spreading = 0.6 * 0.9 / 2 * (v @ covariance @ v).item()
                row.append(LOGITS[m, i, c].item() + spreading + 0.4 * 0.9 * (v @ shift).item())
            expected += weight[y] * cross_entropy(row, y) / sum(weight[y] for y in TARGETS)
    assert total(method, "classifier") == pytest.approx(expected, rel=1e-4)
    assert total(method, "feature") == pytest.approx(plain(), rel=1e-5)


@pytest.mark.parametrize("epochs", [None, 7, 30, 100])
def test_risda_keeps_the_rate_of_its_first_stage_until_it_ends(epochs: int | None) -> None:
    recipe, _ = load_recipe("risda-cifar100-lt", epochs=epochs)
    o, (feature, classifier) = recipe.optim, recipe.stages()
    length = feature.epochs
    rates = {
        learning_rate(
            epoch, total_steps=length, peak_lr=o.peak_lr, warmup_steps=o.warmup_epochs,
            milestones=o.milestones, final_lr=o.final_lr,
        )
        for epoch in range(length)
    }  # fmt: skip
    assert rates == {0.1}
    assert classifier.milestones  # else it would rise to where the first ends


def test_risda_takes_means_before_the_second_stage_and_covariances_in_it() -> None:
    method = build("risda")
    feature, classifier = stages("risda")
    assert (feature.epochs, classifier.epochs, classifier.peak_lr) == (160, 40, 0.001)
    assert (classifier.milestones, classifier.decay_factor, classifier.bank) == ((20,), 0.01, feature.bank)
    assert classifier.batch_norm == "train"
    assert ([*method.survey_epochs(feature)], [*method.survey_epochs(classifier)]) == ([], [0])
    method.survey(FEATURES, torch.tensor(TARGETS), at("classifier"))
    method.observe(OUTPUT, BATCH, at("feature"))
    assert not method.spread.counts.any()
    method.observe(OUTPUT, BATCH, at("classifier"))
    for c in range(5):
        member = FEATURES[:, [i for i, y in enumerate(TARGETS) if y == c]]
        torch.testing.assert_close(method.means[:, c], member.mean(1))
        apart = member - member.mean(1, keepdim=True)
        torch.testing.assert_close(method.spread.covariances[:, c], apart.mT @ apart / member.shape[1])
