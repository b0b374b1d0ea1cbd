"""timm's networks, exported: one with convolutions, one with tokens."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import longtail
from longtail.export import export
from longtail.predict import load_run
from longtail.types import InputError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a network, on few images and with two experts; made once."""
    given = {
        "model.num_experts": 2, "model.gates": False, "data.image_size": 32, "data.max_count": 8,
        "data.imbalance_factor": 1.0,
    }  # fmt: skip

    @cache
    def trained(network: str) -> Path:
        out = tmp_path_factory.mktemp(network) / "run"
        return longtail.train("icl-digits", model=network, epochs=2, out=out, set=given, quiet=True).path

    return trained


@pytest.mark.parametrize(("network", "form"), [("test_resnet", "onnx"), ("test_vit", "pt2")])
def test_any_number_of_images(
    network: str, form: str, paths: list[Path], trained: Callable[[str], Path]
) -> None:
    run = trained(network)
    made = export(run, form)
    assert made.agreement.good
    file = longtail.load(made.path)
    np.testing.assert_allclose(
        file.predict_proba(paths), longtail.load(run, device="cpu").predict_proba(paths), atol=1e-5
    )
    size = file.description["image_size"]
    images = torch.randint(0, 256, (9, 3, size, size), dtype=torch.uint8)
    together, each = file.compute(images)
    assert each.shape == (2, 9, 10)
    parts = [file.compute(part)[0] for part in images.split(4)]
    torch.testing.assert_close(torch.cat(parts), together, atol=1e-5, rtol=1e-4)


def test_a_network_that_fixes_the_batch_is_refused(
    trained: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("test_resnet")
    model = load_run(run).model
    extract = type(model).extract
    monkeypatch.setattr(type(model), "extract", lambda self, image: extract(self, image[: len(image)]))
    before = sorted(run.rglob("*"))
    with pytest.raises(InputError, match=r"cannot be written as one graph .*--format folder") as refused:
        export(run, "pt2", run / "other.pt2")
    assert "\n" not in str(refused.value)
    assert sorted(run.rglob("*")) == before
