"""The learning rate is a pure function of the step."""

import doctest

import pytest

from longtail.engine import schedule
from longtail.engine.schedule import learning_rate

RUN = {"total_steps": 1000, "peak_lr": 0.15, "warmup_steps": 50, "warmup_start_lr": 0.05}


def test_the_documented_numbers() -> None:
    tried = doctest.testmod(schedule)
    assert (tried.failed, tried.attempted) == (0, 1)


def test_start_peak_middle_end() -> None:
    assert learning_rate(0, **RUN) == 0.05
    assert learning_rate(25, **RUN) == pytest.approx(0.1)
    assert learning_rate(50, **RUN) == 0.15
    assert learning_rate(525, **RUN) == pytest.approx(0.075)
    assert 0 < learning_rate(999, **RUN) < 1e-5
    assert learning_rate(0, total_steps=10, peak_lr=0.1) == 0.1


def test_up_then_down() -> None:
    rates = [learning_rate(step, **RUN) for step in range(1000)]
    assert rates[:51] == sorted(rates[:51])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert max(rates) == 0.15
    assert len(set(rates)) > 900


def test_order_and_repetition_change_nothing() -> None:
    forwards = [learning_rate(step, **RUN) for step in range(200)]
    backwards = [learning_rate(step, **RUN) for step in reversed(range(200))]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("total_steps", [1, 3])
def test_a_run_that_is_all_warm_up_stays_finite(total_steps: int) -> None:
    rates = [
        learning_rate(step, total_steps=total_steps, peak_lr=1.0, warmup_steps=total_steps)
        for step in range(total_steps)
    ]
    assert rates == [step / total_steps for step in range(total_steps)]
