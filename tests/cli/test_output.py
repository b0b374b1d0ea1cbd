"""What is printed: escaped at the one exit, whatever the stream can show, and never lost without a word."""

import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from photos import make_photos

from longtail.cli.main import app, main
from longtail.cli.output import Screen, data_out, say, screens
from longtail.engine.display import Display

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eevil\rover\ttab \udcff"


def stream(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")


def written(made: io.TextIOWrapper) -> bytes:
    made.flush()
    return made.buffer.getvalue()  # type: ignore[attr-defined]


def test_what_is_printed_by_any_way_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    out, err = stream(), stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with screens():
        typer.echo(HOSTILE, color=True)
        typer.echo(HOSTILE, err=True, color=True)
        say("a\nb", HOSTILE)
        print(HOSTILE)
        sys.stderr.write(warnings.formatwarning(HOSTILE, UserWarning, "file.py", 1))
        logging.StreamHandler().handle(logging.LogRecord("library", 30, "", 1, HOSTILE, (), None))
        Display(3, name="\x1b[31m[/b]").say(f"{HOSTILE} [b] :smile:")
    assert (sys.stdout, sys.stderr) == (out, err)
    for shown in (written(out), written(err)):
        text = shown.decode()
        assert all(line.isprintable() for line in text.split("\n"))
        assert text.count("\\x1b[31mred") >= 3
        assert "\\udcff" in text
    assert "a\\nb\n" in written(out).decode()
    assert "[b] :smile:" in written(err).decode()


def test_a_bar_keeps_its_own_sequences_and_names_in_it_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    err = stream()
    monkeypatch.setattr(err, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with screens(), Display(3) as display:
        part = display.part("\x1b]0;title\x07[/b]")
        part.step("stage", 1, 1, 2)
        display.bar.refresh()
        print("\x1bc from a library", file=sys.stderr)
    text = written(err).decode()
    assert "\x1b[" in text  # the bar's own
    assert "\\x1b]0;title\\x07[/b] stage epoch 1/3" in text
    assert "\x1b]" not in text
    assert "\\x1bc from a library" in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_cannot_show_is_written_out(encoding: str) -> None:
    made = stream(encoding)
    Screen(made, "standard output", vital=True).write("caf\u00e9 \u732b\n")
    expected = {"ascii": b"caf\\xe9 \\u732b\n", "cp1252": b"caf\xe9 \\u732b\n"}
    assert written(made) == expected.get(encoding, "café 猫\n".encode())


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_data_is_utf_8_to_the_byte_unless_a_terminal_shows_it(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    with screens(), data_out() as rows:
        rows.write("\u732b\udcff\x1b\r\n")
    assert written(out) == b"\xe7\x8c\xab\xff\x1b\r\n"
    assert out.encoding == encoding
    terminal = stream()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    with screens(), data_out() as rows:
        rows.write("\u732b\udcff\x1b\n")
    assert written(terminal).decode() == "猫\\udcff\\x1b\n"


def test_a_check_prints_every_name_to_a_console_that_cannot_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_photos(tmp_path, {"": {"\u732b": 2, "\x1b[31mred": 2}})
    console = stream("cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["data", "check", str(tmp_path)]) == 0
    shown = written(console).decode("cp1252")
    assert "\\u732b" in shown
    assert "\\x1b[31mred" in shown
    assert "\x1b" not in shown


class Full(io.RawIOBase):
    """A device that takes nothing."""

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("words", [["--help"], ["methods"], ["data", "check", "PHOTOS"]])
def test_a_full_disk_behind_standard_output_is_one_line(
    words: list[str], photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    full = io.TextIOWrapper(io.BufferedWriter(Full()))
    monkeypatch.setattr(full.buffer, "close", lambda: None, raising=False)
    monkeypatch.setattr(sys, "stdout", full)
    code = main([str(photos) if word == "PHOTOS" else word for word in words])
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("looking at ")]
    assert (code, len(lines)) == (2, 1)
    assert "standard output: No space left on device" in lines[0]


def test_messages_that_nobody_can_take_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Full()), write_through=True))
    with screens():
        say("a message", err=True)
        Display(3).say("an epoch")
    monkeypatch.setattr(sys, "stderr", None)
    with screens():
        say("a message", err=True)
        Display(3).say("an epoch")
    assert main(["no such command"]) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="redirections of a shell, and a device of Linux")
@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">&-", 2, "error: standard output is closed"),
        ("> /dev/full", 2, "error: standard output: No space left on device"),
        ("<&- 2>&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(redirection: str, code: int, said: str) -> None:
    words = f"exec {sys.executable} -m longtail --version {redirection}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, bool(said)), done
    assert done.stderr.startswith(said)
    assert bool(done.stdout) == (code == 0)


def test_the_traceback_of_a_fault_of_ours_is_escaped_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> Callable[..., None]:
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr(app, "registered_commands", [])
    monkeypatch.setattr("typer.main.get_command", fails)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with pytest.raises(RuntimeError):
        main(["methods"])
    assert isinstance(sys.stderr, Screen)
