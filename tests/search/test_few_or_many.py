"""A search on sets with very few images, and with very many classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from longtail.data import LongTailData, load_data
from longtail.engine.display import Display
from longtail.recipe import Recipe, load_recipe
from longtail.search.heads import compare_heads

QUIET = Display(1, quiet=True)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def digits() -> LongTailData:
    return load_data(load_recipe("icl-digits")[0].data)


@pytest.fixture(scope="module")
def on_features() -> Recipe:
    given = {
        "model.name": "resnet8", "model.num_experts": 1, "model.head": "linear", "model.frozen": True,
        "method.name": "balanced_softmax", "run.device": "cpu", "run.reuse_features": 0,
    }  # fmt: skip
    return load_recipe("icl-digits", given, epochs=2)[0]


def test_one_image_a_class_has_classifiers_on_features_though_nothing_can_be_judged(
    digits, on_features
) -> None:
    first = torch.from_numpy(np.unique(digits.train.targets.numpy(), return_index=True)[1])
    data = replace(digits, train=digits.train.take(first), val=None, test=None)
    heads = compare_heads(on_features, data, 1e-3, 10.0, QUIET)
    assert heads.best.recipe.model.frozen
    assert heads.trials == ()
    assert heads.images == len(heads.right) == 0
    assert "no class" in heads.best.name


def test_classes_of_one_group_each_judge_nothing(digits, on_features) -> None:
    targets = digits.train.targets
    first = torch.cat([(targets == c).nonzero().flatten()[:4] for c in range(10)])
    train = replace(digits.train.take(first), groups=tuple(f"patient {c}" for c in targets[first].tolist()))
    heads = compare_heads(on_features, replace(digits, train=train, val=None, test=None), 1e-3, 10.0, QUIET)
    assert heads.images == len(heads.right) == 0
