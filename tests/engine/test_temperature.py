"""What is said of the images that a temperature rests on."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from longtail.augment import Augment
from longtail.data import Split
from longtail.engine import results, temperature
from longtail.engine.job import Job
from longtail.engine.temperature import Fit, temperature_of
from longtail.method import Method, Stage
from longtail.models import ExpertModel


def test_classes_with_few_images_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all classes: one with 10 images has enough, one with 9 or none has not."""
    target = torch.tensor([0] * 10 + [1] * 9 + [2] * 11)
    logits = 3 * torch.eye(4)[target.roll(1)]
    batch = SimpleNamespace(target=target)
    monkeypatch.setattr(temperature, "batches", lambda *_, **__: None)
    monkeypatch.setattr(temperature, "infer", lambda *_: [(batch, logits, logits[None])])
    model, method, augment = Mock(spec=ExpertModel), Mock(spec=Method), Mock(spec=Augment)
    split = Mock(spec=Split, targets=target)
    device, prior = torch.device("cpu"), torch.full((4,), 0.25).log()
    found = temperature_of(model, method, split, augment, prior, bank="", device=device, batch_size=64)
    assert (found.images, found.classes, found.thin) == (30, 3, 2)


@pytest.mark.parametrize(
    ("interval", "thin", "said"),
    [
        ((1.2, 1.4), 0, ()),
        ((1.2, 1.4), 1, ("1 class has fewer than 10",)),
        ((1.2, 1.4), 2, ("2 classes have fewer than 10",)),
        ((0.5, 3.0), 0, ("rough",)),
        ((0.5, 3.0), 3, ("rough", "3 classes have fewer than 10")),
    ],
)
def test_training_says_in_one_line_what_a_temperature_rests_on(
    monkeypatch: pytest.MonkeyPatch, interval: tuple[float, float], thin: int, said: tuple[str, ...]
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(results, "_evaluated_on", lambda *_: {})
    monkeypatch.setattr(results, "temperature_of", lambda *_: Fit(1.3, interval, "", 50, 3, thin))
    job = Mock(
        spec=Job, data=Mock(), method=Mock(), model=Mock(), augment=Mock(), display=Mock(say=lines.append)
    )
    assert results.find_temperature(job, Stage("only", 1)) == 1.3
    assert len(lines) == bool(said)
    for words in said:
        assert words in lines[0]
        assert "50 images of 3 classes" in lines[0]
