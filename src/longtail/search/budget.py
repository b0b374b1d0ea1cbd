"""The time budget of a command, and how much of it is left."""

import time
from collections.abc import Callable

DEFAULT_MINUTES = 15.0  # of `longtail train FOLDER`; what one waits for at a desk
SEARCH = 1 / 3  # share of the time that is left once steps are timed, for all comparisons together
RESERVE = 0.07  # share of the time that is left for what cannot be timed: saving, the report, a busy machine
FEWEST = 120.0  # seconds that must be left for a search


class Budget:
    """Seconds that a command may take.

    Args:
        minutes: the time, > 0.
        began: when the command began, by the clock.
        now: the clock, in seconds.
    """

    def __init__(self, minutes: float, began: float, now: Callable[[], float] = time.monotonic) -> None:
        self.minutes, self.now = minutes, now
        self._end = began + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds left, less a reserve; negative where more was spent."""
        left = self._end - self.now()
        return left * (1 - RESERVE)


class SearchTime:
    """The time for all comparisons of a search together: a share of what is left of a budget, from now on.

    Args:
        budget: of the command.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._end = budget.left * (1 - SEARCH)

    @property
    def left(self) -> float:
        """Seconds left to compare in, >= 0."""
        return max(0.0, self.budget.left - self._end)

    @property
    def after(self) -> float:
        """Seconds of the budget that are left once all are used."""
        return min(self._end, self.budget.left)

    def leave_out(self, seconds: float) -> None:
        """Seconds that were spent, but not on a comparison."""
        self._end -= seconds * (1 - RESERVE)
