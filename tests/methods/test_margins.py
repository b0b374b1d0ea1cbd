"""Methods that take margins off cosines, against loops over images and classes."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from longtail import draws
from longtail.method import Method
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
SCALE = 30.0
COSINES = (2 * torch.rand(2, 9, 5, generator=torch.Generator().manual_seed(0)) - 1) / 5
OUTPUT = ModelOutput(torch.zeros(2, 9, 4), SCALE * COSINES, {"scale": torch.tensor(SCALE)})
TARGETS = [0, 1, 2, 3, 4, 0, 1, 2, 3]
BATCH = Batch(torch.zeros(9, 3, 4, 4), torch.tensor(TARGETS), torch.arange(9), keys=torch.tensor([3, 4]))


def build(name: str, **options: Any) -> Method:
    assert find(name).needs == {"head": "cosine"}
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def cross_entropy(row: list[float], target: int) -> float:
    return math.log(sum(math.exp(z) for z in row)) - row[target]


def total(method: Method, epoch: int, stage: str = "train", batch: Batch = BATCH) -> float:
    terms = method.loss(OUTPUT, batch, Progress(stage, epoch, 200, epoch, 0, 0))
    return sum(term.item() for term in terms.values())


@pytest.mark.parametrize("epoch", [159, 160])
def test_ldam_has_margins_throughout_and_weights_at_last(epoch: int) -> None:
    expected, weight = 0.0, [1.0] * 5
    if epoch >= 160:
        weight = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS.tolist()]
    for m in range(2):
        loss = 0.0
        for i, y in enumerate(TARGETS):
            row = COSINES[m, i].tolist()
            row[y] -= 0.5 * (1 / COUNTS[y].item()) ** 0.25
            loss += weight[y] * cross_entropy([SCALE * cosine for cosine in row], y)
        expected += loss / sum(weight[y] for y in TARGETS)
    assert total(build("ldam"), epoch) == pytest.approx(expected, rel=1e-4)


def test_ldam_with_beta_0_never_weighs() -> None:
    method = build("ldam", beta=0.0)
    assert total(method, 160) == pytest.approx(total(method, 0), rel=1e-6)


def log_50(ratio: float) -> float:
    return math.log(50 * ratio) / math.log(50)


@pytest.mark.parametrize(("epoch", "most"), [(119, 50.0), (120, 50.0), (120, 20.0)])
def test_kps_raises_frequent_cosines_and_takes_margins_by_opposite_rank(epoch: int, most: float) -> None:
    counts = COUNTS.tolist()
    raised = [log_50(n / min(counts)) for n in counts]
    ranked = sorted(range(5), key=lambda c: -counts[c])
    opposite = {c: raised[ranked[4 - rank]] for rank, c in enumerate(ranked)}
    assert opposite[3] == max(raised)  # class 3 is the smallest, and neither the first nor the last
    expected = 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            row = [raised[c] * COSINES[m, i, c].item() for c in range(5)]
            row[y] -= 0.2 * opposite[y] / max(raised)
            scale = min(most, max(15.0, 15 * opposite[y])) if epoch >= 120 else 15.0
            expected += cross_entropy([scale * cosine for cosine in row], y) / 9
    assert total(build("kps", max_scale=most), epoch) == pytest.approx(expected, rel=1e-4)


def test_kps_predicts_by_plain_cosines() -> None:
    torch.testing.assert_close(build("kps").logits(OUTPUT), OUTPUT.logits.mean(0))


def test_gcl_is_plain_where_noise_is_off_and_images_are_not_mixed() -> None:
    batch = replace(BATCH, aux={"other": BATCH.target.flip(0), "share": torch.tensor(1.0)})
    method, expected = build("gcl", noise=0.0), [0.0, 0.0]
    for m in range(2):
        for i, y in enumerate(TARGETS):
            row = COSINES[m, i].tolist()
            expected[0] += cross_entropy([SCALE * cosine for cosine in row], y) / 9
            row[y] -= 0.1
            each = cross_entropy([20 * cosine for cosine in row], y)
            expected[1] += (1 - math.exp(-each)) * each / 9
    assert total(method, 0, "feature", batch) == pytest.approx(expected[0], rel=1e-4)
    assert total(method, 0, "classifier", batch) == pytest.approx(expected[1], rel=1e-4)


def test_gcl_lowers_all_cosines_but_those_of_the_largest_class_by_noise() -> None:
    method, mixed = build("gcl"), build("gcl").prepare(BATCH, Progress("feature", 0, 10, 0, 0, 0))
    share, other = mixed.aux["share"].item(), mixed.aux["other"].tolist()
    noise = draws.normal(mixed, 10, slot=2)
    logs = [math.log(n) for n in COUNTS.tolist()]
    spread = [(max(logs) - one) / (max(logs) - min(logs)) for one in logs]
    assert (min(spread), max(spread)) == (0, 1)
    expected = 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            row = []
            for c in range(5):
                e = max(-1.0, min(1.0, noise[i, 5 * m + c].item() / 3))
                row.append(SCALE * (COSINES[m, i, c].item() - 0.5 * abs(e) * spread[c]))
            expected += (share * cross_entropy(row, y) + (1 - share) * cross_entropy(row, other[i])) / 9
    assert total(method, 0, "feature", mixed) == pytest.approx(expected, rel=1e-4)


def test_gcl_cuts_noise_at_three_standard_deviations(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, found = replace(BATCH, aux={"other": BATCH.target, "share": torch.tensor(1.0)}), []
    for size in (-3.0, 6.0):
        monkeypatch.setattr(
            draws, "normal", lambda batch, count, slot, of=size: torch.full((len(batch.target), count), of)
        )
        found.append(total(build("gcl"), 0, "feature", batch))
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_gcl_gives_no_gradient_to_focal_weights() -> None:
    """Else the slope of (1 - p) would be in it: compared with the slope of the cross-entropy, weighted by hand."""
    batch = replace(BATCH, aux={"other": BATCH.target, "share": torch.tensor(1.0)})
    logits = OUTPUT.logits.clone().requires_grad_()
    output = ModelOutput(OUTPUT.features, logits, OUTPUT.aux)
    method = build("gcl", noise=0.0, margin=0.0)
    method.loss(output, batch, Progress("classifier", 0, 9, 0, 0, 0))["clouded"].backward()
    p = (20 * COSINES).softmax(-1)
    weight = 1 - p.gather(-1, BATCH.target.expand(2, -1).unsqueeze(-1))
    expected = weight * (p - torch.nn.functional.one_hot(BATCH.target, 5)) / 9 * 20 / SCALE
    torch.testing.assert_close(logits.grad, expected)


def test_the_second_stage_of_gcl() -> None:
    cls = find("gcl")
    feature, classifier = cls.stages(cls.Options(name="gcl", classifier_sampler="effective"), 230)
    assert (feature.epochs, classifier.epochs, classifier.peak_lr) == (200, 30, 0.002)
    assert (classifier.bank, classifier.trainable) == (feature.bank, ("heads.*",))
    assert (classifier.sampler, classifier.batch_norm, classifier.warmup_epochs) == ("effective", "eval", 0)
