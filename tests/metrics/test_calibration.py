"""The temperature is the best there is, and what abstaining costs is counted right."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from longtail.metrics import fit_temperature, temperature_interval, why_no_temperature


def made_up(images: int = 4000, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits whose softmax is the true probability of each class, and classes drawn by it."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("mix", [None, [2.0, 0.0, -1.0, 0.5, 0.0]])
def test_the_temperature_is_scipys_optimum(scale: float, mix: list[float] | None) -> None:
    logits, target = made_up(300)
    z = scale * logits.double().numpy()

    def loss(temperature: float) -> float:
        scaled = z / temperature + np.asarray(mix or 0)
        own = scaled[np.arange(len(z)), target.numpy()]
        return float((np.log(np.exp(scaled).sum(1)) - own).mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    log_prior_ratio = None if mix is None else torch.tensor(mix)
    assert fit_temperature(scale * logits, target, log_prior_ratio) == pytest.approx(best.x, rel=1e-5)


def test_long_tailed_images_do_not_make_up_for_their_class_mix() -> None:
    logits, _ = made_up(20_000)  # honest where classes are balanced
    mix = torch.tensor([0.55, 0.25, 0.15, 0.05, 0.0])
    drawn = torch.multinomial(
        (logits.softmax(-1) * mix), 1, generator=torch.Generator().manual_seed(1)
    ).squeeze(1)
    assert fit_temperature(logits, drawn, mix.log()) == pytest.approx(1, abs=0.05)
    naive = fit_temperature(logits, drawn)
    assert naive is not None
    assert naive > 1.2


def test_honest_logits_are_left_alone_and_inflated_ones_are_not() -> None:
    logits, target = made_up()
    honest = fit_temperature(logits, target)
    assert honest == pytest.approx(1, abs=0.05)
    assert fit_temperature(3 * logits, target) == pytest.approx(3 * honest)
    assert fit_temperature(logits + torch.arange(4000).remainder(9).unsqueeze(1), target) == pytest.approx(
        honest
    )


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)),
        (torch.eye(3), torch.arange(3)),
        (torch.eye(3), torch.tensor([1, 2, 0])),
        (torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])),
    ],
    ids=["no images", "all right", "all wrong", "no opinion"],
)
def test_no_temperature_where_none_is_best(logits: Tensor, target: Tensor) -> None:
    assert fit_temperature(logits, target) is None


@pytest.mark.parametrize("scale", [1.02e-4, 1e-3, 0.01, 30, 1000, 9600])
def test_the_search_goes_as_far_as_the_logits_do(scale: float) -> None:
    logits, target = made_up()
    honest = fit_temperature(logits, target)
    assert honest is not None
    assert fit_temperature(scale * logits, target) == pytest.approx(scale * honest, rel=1e-5)


@pytest.mark.parametrize(
    ("logits", "target", "said"),
    [
        (torch.zeros(0, 3), [], "no images"),
        (torch.eye(3), [0, 1, 2], "named correctly"),
        (torch.eye(3), [1, 2, 0], "than chance"),
        (torch.zeros(4, 3), [0, 1, 2, 0], "than chance"),
        (1e9 * torch.tensor([[4.0, 0.0]] * 4), [0, 0, 0, 1], "lies beyond"),
        (torch.tensor([[torch.nan, 0.0]]), [0], "no number"),
    ],
)
def test_the_cause_is_named_where_no_temperature_is_best(
    logits: Tensor, target: list[int], said: str
) -> None:
    targets = torch.tensor(target, dtype=torch.long)
    assert fit_temperature(logits, targets) is None
    assert said in why_no_temperature(logits, targets)


def test_images_of_one_class_settle_nothing() -> None:
    mix = torch.tensor([0.0, -torch.inf])
    logits, target = torch.tensor([[1.0, 2.0], [2.0, 1.0]]), torch.tensor([0, 0])
    assert fit_temperature(logits, target, mix) is None
    assert "of one class" in why_no_temperature(logits, target, mix)


def test_the_interval_holds_the_temperature_as_often_as_it_says() -> None:
    logits, target = made_up()
    honest = fit_temperature(logits, target)
    held, widths = [], []
    for start in range(0, 4000, 100):
        part = slice(start, start + 100)
        found = fit_temperature(logits[part], target[part])
        assert found is not None
        low, high = temperature_interval(logits[part], found)
        held.append(low <= honest <= high)
        widths.append(high / low)
    assert 36 <= sum(held) <= 40
    low, high = temperature_interval(logits, honest)
    assert 1 < high / low < min(widths)
