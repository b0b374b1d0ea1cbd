"""Signals that ask a command to stop: all are treated as Ctrl-C."""

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from longtail.stopping import STOPPING, loading

Run = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Put something else in the place of training."""

    def put(action: Callable[[], Any]) -> None:
        monkeypatch.setattr("longtail.api.train", lambda *_, **__: action())

    return put


@pytest.mark.parametrize("number", STOPPING)
def test_each_signal_interrupts(run: Run, training: Any, number: int) -> None:
    before = signal.getsignal(number)
    training(lambda: signal.raise_signal(number))
    assert run("train", "icl-digits") == (130, "", "interrupted\n")
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", STOPPING)
def test_an_error_that_a_library_makes_of_it_is_not_reported_as_one(
    run: Run, training: Any, number: int
) -> None:
    def load() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise ValueError("the weights are damaged; train again") from None

    training(load)
    assert run("train", "icl-digits") == (130, "", "interrupted\n")


def test_a_second_signal_does_not_disturb_what_is_put_in_order(run: Run, training: Any) -> None:
    done = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)  # as launchers send it after Ctrl-C
            done.append("in order")

    training(work)
    assert run("train", "icl-digits")[0] == 130
    assert done == ["in order"]


def test_a_signal_that_is_ignored_from_the_start_stays_ignored(run: Run, training: Any) -> None:
    """As under nohup."""
    number, reached = STOPPING[-1], []

    def work() -> None:
        signal.raise_signal(number)
        reached.append(True)
        raise KeyboardInterrupt("later")

    training(work)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert run("train", "icl-digits") == (130, "", "later\n")
    finally:
        signal.signal(number, before)
    assert reached


@pytest.mark.parametrize("number", STOPPING)
def test_while_libraries_load_the_process_ends_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class LeftError(BaseException):
        pass

    def leave(code: int) -> None:
        raise LeftError(code)

    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(LeftError, match="130"), loading():
        signal.raise_signal(number)


def test_while_the_command_line_itself_loads_too() -> None:
    """Before `main` is called."""
    code = """
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
import longtail.cli.main
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
