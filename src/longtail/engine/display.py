"""Display of a run: a progress bar at a terminal, otherwise one plain line per epoch."""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from longtail.durations import duration
from longtail.engine.pace import Pace
from longtail.printable import printable

LOGGER = logging.getLogger("longtail")
"""Gets the lines, at level INFO, in place of the terminal where the program that trains has set it up for that."""


class Display:
    """Shows epochs as they end and, at a terminal, steps as they pass.

    A program that sets up logging for INFO (`logging.basicConfig(level=logging.INFO)`) gets the lines as records of the
    logger `longtail`; without, they are printed to standard error.

    Args:
        epochs: of the whole run.
        quiet: show nothing at all.
        name: of this run among others, before each of its lines.
    """

    def __init__(self, epochs: int, *, quiet: bool = False, name: str = "") -> None:
        self.epochs, self.quiet, self.name = epochs, quiet, name
        self.within: Display | None = None  # what shows this run and others
        self.console = Console(file=sys.stderr, quiet=quiet, highlight=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
            transient=True,
            redirect_stdout=False,  # rich would pass control sequences of what others print
            redirect_stderr=False,
        )
        self.task = self.bar.add_task("starting", total=None)
        self.pace = Pace()
        self.left: float | None = None  # seconds that the run takes yet, as far as they are known

    def part(self, name: str) -> "Display":
        """The display of one of several runs; it shares this one's terminal and is shown while this one is."""
        part = Display(self.epochs, quiet=self.quiet, name=name)
        part.within, part.console, part.bar = self, self.console, self.bar
        part.task = part.bar.add_task(printable(f"{name} starting"), total=None)
        return part

    def __enter__(self) -> "Display":
        if self.within is None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.within is None:
            self.bar.stop()

    def say(self, line: str) -> None:
        """One line that stays."""
        if self.quiet:
            return
        line = f"{self.name}: {line}" if self.name else line
        (self.within or self).pace.said = time.monotonic()
        if LOGGER.isEnabledFor(logging.INFO) and LOGGER.hasHandlers():
            LOGGER.info("%s", line)
            return
        with suppress(BrokenPipeError):  # whoever read along has seen enough; the run goes on
            self.console.print(printable(line), markup=False, emoji=False)

    def step(self, stage: str, epoch: int, done: int, total: int) -> None:
        """`done` of the run's `total` steps are finished."""
        self.left = self.pace.left("steps", done, total)
        self._show(
            f"{stage} epoch {epoch}/{self.epochs}", f"step {done:,} of {total:,}", done, total, self.left
        )

    def work(self, what: str, done: int, total: int) -> None:
        """`done` of `total` pieces of work beside the steps, such as reading images, are finished."""
        self._show(what, f"{done:,} of {total:,}", done, total, self.pace.left(what, done, total))

    def _show(self, what: str, counted: str, done: int, total: int, left: float | None) -> None:
        self.bar.update(
            self.task, description=printable(f"{self.name} {what}".lstrip()), completed=done, total=total
        )
        if self.bar.disable and (self.within or self).pace.is_due():
            self.say(f"{what}, {counted}{said_of(left)}")

    def epoch(self, record: Mapping[str, Any]) -> None:
        """A finished epoch, from its record in the log."""
        terms = "  ".join(f"{name} {value:.3f}" for name, value in record["loss"].items())
        line = f"epoch {record['epoch'] + 1:>3}/{self.epochs} {record['stage']}  {terms}  {record['seconds']:.1f} s"
        scores = [scores_line(split, record[split]) for split in ("val", "test") if split in record]
        self.say("  ".join([line, *scores]) + said_of(self.left))


def said_of(left: float | None) -> str:
    """What to add to a line where the seconds that work takes yet are known.

    >>> said_of(None), said_of(75.0)
    ('', ', about 1 min left')
    """
    return f", about {duration(left)} left" if left else ""


def scores_line(name: str, scores: Mapping[str, Any]) -> str:
    """Scores in one line, in per cent; a dash for a group without classes."""
    keys = ("overall", "macro", "many", "medium", "few")
    parts = [f"{key} {'-' if scores[key] is None else format(100 * scores[key], '.1f')}" for key in keys]
    return f"[{name}] {'  '.join(parts)}"
