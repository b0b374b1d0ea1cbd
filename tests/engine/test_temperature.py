"""What is said of the images that a temperature rests on."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from longtail.augment import Augment
from longtail.data import Split
from longtail.engine import results, temperature
from longtail.engine.job import Job
from longtail.engine.temperature import Fit, temperature_of
from longtail.method import Method, Stage
from longtail.models import ExpertModel


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor, Tensor], Fit]:
    """`temperature_of` a network that gives these logits of these classes."""
    return lambda logits, target: _fit(monkeypatch, logits, target)


def _fit(monkeypatch: pytest.MonkeyPatch, logits: Tensor, target: Tensor) -> Fit:
    batch = SimpleNamespace(target=target)
    monkeypatch.setattr(temperature, "batches", lambda *_, **__: None)
    monkeypatch.setattr(temperature, "infer", lambda *_: [(batch, logits, logits[None])])
    model, method, augment = Mock(spec=ExpertModel), Mock(spec=Method), Mock(spec=Augment)
    split = Mock(spec=Split, targets=target)
    device, prior = torch.device("cpu"), torch.zeros(logits.shape[1]).log_softmax(-1)
    return temperature_of(model, method, split, augment, prior, bank="", device=device, batch_size=64)


def test_classes_with_few_images_are_counted(fit: Callable[[Tensor, Tensor], Fit]) -> None:
    """Of all classes: one with 10 images has enough, one with 9 or none has not."""
    target = torch.tensor([0] * 10 + [1] * 9 + [2] * 11)
    found = fit(3 * torch.eye(4)[target.roll(1)], target)
    assert (found.images, found.classes, found.thin) == (30, 3, 2)


def test_images_that_any_temperature_fits_settle_none(fit: Callable[[Tensor, Tensor], Fit]) -> None:
    """3 of 5 are right: of 10 images that could be half or almost all, of 400 it could not."""
    logits, target = torch.tensor([[4.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 1])
    wrong = logits.flip(0)
    few = fit(torch.cat([logits, logits, logits, wrong, wrong]), target.repeat(5))
    many = fit(torch.cat([logits, logits, logits, wrong, wrong]).repeat(40, 1), target.repeat(200))
    assert few.temperature is None
    assert "any between" in few.why
    assert "give more images" in few.why
    assert many.temperature == pytest.approx(4 / math.log(1.5))


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
