from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import tiny

from few_digits import digits_tested
from few_digits import few_tested as few_tested
from longtail.engine.train import fit


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, never interrupted; not to be changed."""
    with digits_tested():
        return fit(tiny(), str(tmp_path_factory.mktemp("engine") / "run"), quiet=True).path


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Train the tiny recipe with changes; returns the run folder."""

    def train(name: str = "run", **changes: Any) -> Path:
        return fit(tiny(**changes), str(tmp_path / name), quiet=True).path

    return train
