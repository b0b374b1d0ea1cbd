"""The temperature is the best there is, and what abstaining costs is counted right."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from longtail.metrics import fit_temperature, risk_coverage


def made_up(images: int = 4000, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits whose softmax is the true probability of each class, and classes drawn by it."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_is_scipys_optimum(scale: float) -> None:
    logits, target = made_up(300)
    z = scale * logits.double().numpy()

    def loss(temperature: float) -> float:
        scaled = z / temperature
        own = scaled[np.arange(len(z)), target.numpy()]
        return float((np.log(np.exp(scaled).sum(1)) - own).mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(scale * logits, target) == pytest.approx(best.x, rel=1e-5)


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


def test_risk_and_coverage_are_what_counting_gives() -> None:
    rng = np.random.default_rng(0)
    confidence = torch.from_numpy(np.round(rng.random(137), 2))  # with ties
    correct, group = torch.from_numpy(rng.random(137) < 0.6), torch.from_numpy(rng.integers(0, 2, 137))
    rows = risk_coverage(confidence, correct, group, ["many", "medium", "few"])
    assert rows[0]["coverage"] == 1
    assert [row["images"] for row in rows] == sorted({row["images"] for row in rows}, reverse=True)
    for row in rows:
        kept = confidence >= row["threshold"]
        assert row["images"] == int(kept.sum())
        assert row["coverage"] == pytest.approx(float(kept.double().mean()))
        assert row["error"] == pytest.approx(1 - float(correct[kept].double().mean()))
        for index, name in enumerate(("many", "medium")):
            own = kept & (group == index)
            assert row[f"images_{name}"] == int(own.sum())
            assert row[f"coverage_{name}"] == pytest.approx(int(own.sum()) / int((group == index).sum()))
            wrong = int((own & ~correct).sum())
            assert row[f"error_{name}"] == (pytest.approx(wrong / int(own.sum())) if own.any() else None)
        assert (row["images_few"], row["coverage_few"], row["error_few"]) == (0, None, None)
    for percent in range(1, 101):  # each share is answered by the least that keeps it
        assert any(0 <= row["coverage"] - percent / 100 < 0.05 for row in rows)
    assert (
        risk_coverage(torch.zeros(0), torch.zeros(0, dtype=torch.bool), torch.zeros(0).long(), ["all"]) == []
    )
