"""Estimates of the remaining time from the pace of the work so far."""

import time
from collections.abc import Callable

SILENCE = 40.0  # seconds after which work that goes on is said where there is no bar


class Pace:
    """Time left of pieces of work that are counted, and whether it is time to say so.

    Work of which only a first piece is known has no estimate: the first one loads what later ones share.

    Args:
        now: the clock, in seconds.

    Attributes:
        said: when something was said last.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self.said = now, now()
        self._first: dict[str, tuple[int, float]] = {}

    def left(self, work: str, done: int, total: int) -> float | None:
        """Seconds left of `total` pieces, `done` of which are finished; None where nothing is known yet."""
        now = self._now()
        first, since = self._first.setdefault(work, (done, now))
        if done < first or done == total:  # the same kind of work begins once more, or ends
            self._first.pop(work)
        if done <= first:
            return 0.0 if done == total else None
        return (now - since) / (done - first) * (total - done)

    def is_due(self) -> bool:
        """Whether nothing was said for `SILENCE` seconds."""
        return self._now() - self.said >= SILENCE
