from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import longtail
from few_digits import digits_tested
from few_digits import few_tested as few_tested
from longtail.export import export

HOSTILE = ("1e3", "=cmd|' /C x'!A0", '<img src=x onerror="y">', "a, b\nc", "Ünïcode 名 | *x*")


Once = Callable[[str, Callable[[Path], object]], Path]


class Made(NamedTuple):
    run: Path
    onnx: Path
    pt2: Path


def _made(once: Once, method: str, experts: int) -> Made:
    def make(folder: Path) -> None:
        given = {
            "model.name": "resnet8",
            "model.num_experts": experts,
            "model.gates": experts > 1,
            "data.max_count": 60,
        }
        with digits_tested():
            longtail.train("icl-digits", method=method, epochs=2, out=folder / "run", set=given, quiet=True)
            for form in ("onnx", "pt2"):
                export(folder / "run", form)

    run = once(f"exported {method}", make) / "run"
    return Made(run, run / "export/model.onnx", run / "export/model.pt2")


@pytest.fixture(scope="session")
def icl(once: Once) -> Made:
    """ICL with three experts, in both forms; not to be changed."""
    return _made(once, "icl", 3)


@pytest.fixture(scope="session")
def adjusted(once: Once) -> Made:
    """Logit adjustment with one expert, in both forms; not to be changed."""
    return _made(once, "logit_adjustment", 1)


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of many kinds: shapes, grey, 16 bits, palette with a transparent entry, JPEG turned by EXIF."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)

    def pixels(*shape: int) -> Image.Image:
        return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))

    turned = Image.Exif()
    turned[0x0112] = 6
    pixels(30, 21, 3).save(folder / "wide.png")
    pixels(8, 8, 3).save(folder / "exact.png")
    pixels(5, 9).save(folder / "grey.png")
    pixels(12, 12, 4).save(folder / "alpha.png")
    pixels(40, 60, 3).save(folder / "turned.jpg", exif=turned)
    pixels(16, 18, 3).quantize(8).save(folder / "palette.png", transparency=0)
    Image.fromarray(rng.integers(0, 2**16, (16, 10), dtype=np.uint16)).save(folder / "sixteen bits.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def hostile(once: Once) -> Path:
    """A run whose class names are no friends of CSV, Markdown, HTML or YAML; one class has no test image."""
    return once("hostile", _make_hostile) / "run"


def _make_hostile(root: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        for name in HOSTILE[: 5 if part == "train" else 4]:
            place = root / "data" / part / name.replace("/", "∕")
            place.mkdir(parents=True)
            for number in range(count):
                image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(image).save(place / f"{number}.png")
    given = {"model.name": "resnet8", "model.num_experts": 1, "data.image_size": 8, "model.gates": False}
    longtail.train(root / "data", method="cross_entropy", epochs=1, out=root / "run", set=given, quiet=True)
