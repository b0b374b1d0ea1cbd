import doctest
import importlib

import pytest
import torch

MODULES = [
    "losses.classification",
    "losses.contrastive",
    "losses.distillation",
    "losses.diversity",
    "metrics.calibration",
    "metrics.groups",
    "metrics.reliability",
    "metrics.scores",
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_hold(name: str) -> None:
    module = importlib.import_module(f"longtail.{name}")
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.attempted > 0
    assert result.failed == 0
