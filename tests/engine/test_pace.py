"""How long work takes yet, and that no minute passes without a line."""

import itertools

import pytest

from longtail.engine import display as shown
from longtail.engine.display import Display
from longtail.engine.pace import SILENCE, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_is_that_of_the_pieces_after_the_first() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.left("steps", 1, 11) is None
    clock.now += 8
    assert pace.left("steps", 5, 11) == pytest.approx(12.0)
    clock.now += 12
    assert pace.left("steps", 11, 11) == 0.0


def test_work_that_begins_once_more_is_measured_from_there() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.left("images", 0, 10)
    clock.now += 100
    assert pace.left("images", 10, 10) == 0.0
    assert pace.left("images", 0, 10) is None
    clock.now += 1
    assert pace.left("images", 5, 10) == pytest.approx(1.0)


def test_other_work_in_between_counts_as_time_that_the_rest_takes_too() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.left("steps", 0, 4)
    pace.left("evaluating", 0, 10)
    clock.now += 6
    assert pace.left("steps", 2, 4) == pytest.approx(6.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shown, "Pace", lambda: Pace(clock))
    monkeypatch.setattr(shown.time, "monotonic", clock)
    return clock


def test_no_minute_passes_without_a_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display, said = Display(2), []
    for step in range(1, 201):
        clock.now += 1
        display.step("train", 1, step, 200)
        if capsys.readouterr().err:
            said.append(clock.now - 100)
    assert said[0] <= 60
    assert max(b - a for a, b in itertools.pairwise(said)) <= 60
    assert len(said) == 200 // SILENCE


def test_a_line_says_how_much_is_done_and_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(2)
    display.work("reading train images", 0, 300)
    clock.now += 60
    display.work("reading train images", 100, 300)
    line = capsys.readouterr().err
    assert "reading train images" in line
    assert "100 of 300" in line
    assert "2 min left" in line


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(2, quiet=True)
    display.step("train", 1, 0, 4)
    clock.now += 100
    display.step("train", 1, 2, 4)
    assert capsys.readouterr().err == ""
