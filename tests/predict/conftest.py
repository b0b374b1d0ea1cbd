import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import longtail
from few_digits import digits_tested
from few_digits import few_tested as few_tested


@pytest.fixture(scope="session")
def trained(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def make(folder: Path) -> None:
        given = {"model.name": "resnet8", "model.num_experts": 2, "optim.batch_size": 128}
        with digits_tested():
            longtail.train(
                "icl-digits", method="cross_entropy", epochs=1, out=folder / "run", set=given, quiet=True
            )

    return once("predict", make) / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    found = [folder / f"{number}.png" for number in range(7)]
    for path in found:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    found[3].write_bytes(b"")
    return found
