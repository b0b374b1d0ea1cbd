"""Methods that mix two images, or their features, against loops over them."""

import math
from typing import Any

import pytest
import torch

from longtail import draws
from longtail.method import Method
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress

COUNTS = torch.tensor([50, 20, 7, 1, 3])
LOGITS = 2 * torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
FEATURES = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(9, 3, 4, 4, generator=torch.Generator().manual_seed(2))
TARGETS = [0, 1, 2, 3, 4, 0, 1, 2, 3]
NOW = Progress("train", 0, 10, 0, 0, 0)


def batch(word: int = 4) -> Batch:
    return Batch(IMAGES, torch.tensor(TARGETS), torch.arange(9), keys=torch.tensor([3, word]))


def build(name: str, **options: Any) -> Method:
    return find(name)(find(name).Options(name=name, **options), COUNTS, 2, 4)


def cross_entropy(expert: int, image: int, target: int) -> float:
    row = LOGITS[expert, image].tolist()
    return math.log(sum(math.exp(z) for z in row)) - row[target]


def drawn(method: Method, of: Batch) -> tuple[float, list[int]]:
    assert isinstance(method.share, draws.Beta)
    return method.share.share(of, slot=0).item(), draws.permutation(of, slot=1).tolist()


def test_mixup_mixes_images_and_labels_alike() -> None:
    method, of = build("mixup"), batch()
    share, partner = drawn(method, of)
    assert 0.02 < share < 0.98
    assert sorted(partner) == list(range(9)) != partner
    mixed = method.prepare(of, NOW)
    expected = 0.0
    for i, y in enumerate(TARGETS):
        torch.testing.assert_close(mixed.image[i], share * IMAGES[i] + (1 - share) * IMAGES[partner[i]])
        for m in range(2):
            other = TARGETS[partner[i]]
            expected += (share * cross_entropy(m, i, y) + (1 - share) * cross_entropy(m, i, other)) / 9
    (term,) = method.loss(ModelOutput(FEATURES, LOGITS), mixed, NOW).values()
    assert term.item() == pytest.approx(expected, rel=1e-5)
    again = method.prepare(batch(word=5), NOW)
    assert not torch.equal(again.image, mixed.image)


def test_remix_gives_the_label_to_the_rarer_class() -> None:
    seen = set()
    for word in range(40):
        of = batch(word)
        method = build("mixup", remix_ratio=3.0, remix_limit=0.6)
        share, partner = drawn(method, of)
        labels = method.prepare(of, NOW).aux["share"].tolist()
        for y, p, found in zip(TARGETS, partner, labels, strict=True):
            ratio = COUNTS[y].item() / COUNTS[TARGETS[p]].item()
            expected, case = share, "both"
            if ratio >= 3 and share < 0.6:
                expected, case = 0.0, "other"
            elif ratio <= 1 / 3 and 1 - share < 0.6:
                expected, case = 1.0, "own"
            assert found == pytest.approx(expected, abs=1e-6)
            seen.add(case)
    assert seen == {"both", "own", "other"}


def test_manifold_mixup_mixes_features_and_labels_alike() -> None:
    method, of = build("manifold_mixup"), batch()
    share, partner = drawn(method, of)
    mixed, expected = method.mix(FEATURES, of, NOW), 0.0
    for m in range(2):
        for i, y in enumerate(TARGETS):
            torch.testing.assert_close(
                mixed[m, i], share * FEATURES[m, i] + (1 - share) * FEATURES[m, partner[i]]
            )
            other = TARGETS[partner[i]]
            expected += (share * cross_entropy(m, i, y) + (1 - share) * cross_entropy(m, i, other)) / 9
    (term,) = method.loss(ModelOutput(mixed, LOGITS), of, NOW).values()
    assert term.item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(method.prepare(of, NOW).image, IMAGES)
