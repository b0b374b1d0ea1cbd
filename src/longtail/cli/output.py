"""The one exit to standard output and standard error: what is printed for people is escaped here."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from longtail.printable import printable


class Screen(io.TextIOBase):
    r"""A stream for people: control characters are written out, and so is what its encoding cannot show.

    Line breaks stay, so a name with one belongs through `say` or `printable`. A stream that refuses further text is
    connected to the null device, so that the interpreter does not try again when it ends.

    Args:
        stream: what the text goes to.
        name: of the stream, for messages.
        vital: whether a refusal is an error, an OSError that names the stream; else it passes unnoticed.
        escape: False passes text on as it is.
    """

    def __init__(self, stream: io.TextIOBase, name: str, *, vital: bool, escape: bool = True) -> None:
        self.stream, self.name, self.vital, self.escape = stream, name, vital, escape

    @property
    def rich_proxied_file(self) -> "Screen":
        """Where the library rich writes: its bars need their own control sequences. Names go to it escaped."""
        return Screen(self.stream, self.name, vital=self.vital, escape=False)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "errors", None) or "strict"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"{self.name} takes text")
        if text:  # click writes "" to learn what a stream takes
            with self._refusals():
                self.stream.write(self._shown(text) if self.escape else text)
        return len(text)

    def flush(self) -> None:
        with self._refusals():
            self.stream.flush()

    def _shown(self, text: str) -> str:
        lead = "\r" if text[:1] == "\r" and not self.vital else ""  # a bar of a library is drawn again
        lines = text.removeprefix(lead).split("\n")
        shown = lead + "\n".join(map(printable, lines))
        return shown.encode(self.encoding, "backslashreplace").decode(self.encoding)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self.stream.fileno())
                os.close(null)
            if self.vital:
                error.filename = self.name
                raise


@contextmanager
def screens() -> Iterator[None]:
    """Standard output and standard error as screens while the block runs.

    They stay when an error leaves the block, so that the interpreter's traceback goes through them as well. A stream
    that was closed becomes the null device, and so do the descriptors 0 to 2 that are free, for else the next file
    that is opened would get the messages of C libraries.
    """
    before = sys.stdout, sys.stderr
    if None in (sys.stdin, *before):
        while (place := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(place)
    with Path(os.devnull).open("w", encoding="utf-8") as null:
        out, err = (cast(io.TextIOBase, stream or null) for stream in before)
        sys.stdout = cast(TextIO, Screen(out, "standard output", vital=True))
        sys.stderr = cast(TextIO, Screen(err, "standard error", vital=False))
        yield
        sys.stdout, sys.stderr = before


@contextmanager
def data_out() -> Iterator[io.TextIOBase]:
    """Standard output for data: what is no terminal gets UTF-8, and file names to the byte; a terminal is a screen."""
    screen = cast(io.TextIOBase, sys.stdout)
    stream = screen.stream if isinstance(screen, Screen) else screen
    before = stream.encoding, stream.errors
    if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
        stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    data = Screen(stream, "standard output", vital=True, escape=stream.isatty())
    try:
        yield data
    finally:
        data.flush()
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=before[0], errors=before[1])


def say(*lines: object, err: bool = False) -> None:
    """Print lines for people; what is not printable of a line, a line break too, is written out."""
    stream = sys.stderr if err else sys.stdout
    stream.write("".join(f"{printable(str(line))}\n" for line in lines))
    stream.flush()
