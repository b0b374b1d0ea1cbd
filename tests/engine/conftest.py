from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import few_tested, tiny

from longtail.engine.train import fit


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, never interrupted; not to be changed."""
    with few_tested():
        return fit(tiny(), str(tmp_path_factory.mktemp("engine") / "run"), quiet=True).path


@pytest.fixture(scope="module", autouse=True)
def _few_tested() -> Iterator[None]:
    with few_tested():
        yield


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Train the tiny recipe with changes; returns the run folder."""

    def train(name: str = "run", **changes: Any) -> Path:
        return fit(tiny(**changes), str(tmp_path / name), quiet=True).path

    return train
