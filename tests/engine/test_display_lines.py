"""Where the lines of a run go: to the logger of a program that has one, else to standard error."""

import logging

import pytest

from longtail.engine.display import Display


def test_lines_go_to_standard_error_where_no_logging_is_set_up(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Display(1).say("12 epochs")
    assert capsys.readouterr().err == "12 epochs\n"
    assert not caplog.records


def test_a_program_that_logs_gets_them_as_records_and_once(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="longtail"):
        display = Display(1)
        display.part("seed 1").say("100 % done")
        Display(1, quiet=True).say("nothing")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("longtail", "seed 1: 100 % done")
    ]
    assert capsys.readouterr().err == ""
