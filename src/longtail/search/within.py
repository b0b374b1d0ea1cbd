"""Training within a time budget: epochs are cut where the machine is slower than estimated."""

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from longtail.data import batch_sizes
from longtail.data.dataset import counted
from longtail.durations import duration
from longtail.engine.display import Display
from longtail.engine.job import Load
from longtail.engine.processes import Processes
from longtail.engine.shortening import finished_epochs, shorten
from longtail.engine.train import training
from longtail.recipe import scaled
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.search.budget import Budget
from longtail.search.find import Found

EVERY = 2.0  # seconds between two looks at the time, at least
FIRST = 0.12  # share of the steps after which the time is looked at, where no epoch has ended before
RECENT = 0.2  # share of the epochs that are done, by which the speed of the rest is judged
FEWEST = 8  # steps by which the speed is judged
BEYOND = 0.1  # share of the budget that one more epoch, at the end of the schedule, may take beyond it
OVER = 1.05  # times the time that is left; less than this is not worth a cut,
SMALL = 0.05  # nor is a rest of this share of the budget, whatever is left


class Cut(NamedTuple):
    """The shorter length to which a run should be cut.

    Attributes:
        epochs: of the run, those that are finished included.
        rest: seconds that it then takes from now on.
    """

    epochs: int
    rest: float


def fit_within(
    found: Found,
    folder: RunFolder,
    budget: Budget,
    display: Display,
    notes: Sequence[str],
    load: Load,
    processes: Processes,
) -> None:
    """Train into a new folder; whenever the time that is left is too short for all epochs, some are cut.

    Where an epoch is finished, the run is resumed from there with a shorter schedule; where none is, it begins again.

    Args:
        found: the settings.
        folder: new or empty.
        budget: what is left of the time.
        display: shows it.
        notes: what to tell before the first step.
        load: gives the data.
        processes: those that train together.

    Raises:
        InputError: see `longtail.engine.train.fit`.
    """
    done, began = 0, budget.now()
    said: Sequence[str] | None = notes
    while True:
        steps = training(
            found.recipe,
            folder,
            display,
            resume=done > 0,
            notes=said,
            load=load,
            chosen=found.search.contents(),
        )
        cut = _cut(steps, Watch(found, budget, done), processes)
        if cut is None:
            break
        seconds = budget.now() - began + cut.rest
        done, found, line = processes.run_on_main(partial(_shortened, found, folder, cut, seconds))
        display.say(line)
        said, display.epochs = None, found.recipe.optim.epochs  # the images were described
    finished = replace(found.search, needed=round(budget.now() - began, 1))
    processes.run_on_main(lambda: folder.write_json(layout.SEARCH, finished.contents()))


def _cut(steps: Generator[None, None, None], watch: "Watch", processes: Processes) -> Cut | None:
    """Take the steps of a run; stops at the first after which the time is too short, and says what to cut it to."""
    with closing(steps):
        for _ in steps:
            if watch.looks() and (cut := processes.run_on_main(watch.fits)) is not None:
                return cut
    return None


def _shortened(found: Found, folder: RunFolder, cut: Cut, seconds: float) -> tuple[int, Found, str]:
    """How many epochs are kept, the settings with fewer epochs, and what to tell about it.

    Args:
        found: the settings.
        folder: of the run.
        cut: what it is cut to.
        seconds: that the run is now expected to take, those before the cut included.
    """
    wanted, is_one = found.recipe.optim.epochs, len(found.recipe.stages()) == 1
    done = finished_epochs(folder, found.recipe) if is_one else 0
    epochs = max(cut.epochs, done)
    how = f"from epoch {done + 1} with a shorter schedule" if done else "from the start"
    line = (
        f"cut: {counted(epochs, 'epoch')} instead of {wanted}, for the machine is slower than the timed steps said; "
        f"the run goes on {how} and takes about {duration(cut.rest)} more"
    )
    recipe = shorten(folder, found.recipe, epochs) if done else scaled(found.recipe, epochs)
    is_said = any(one.endswith(" epochs") for one in found.search.no_time_for)
    search = replace(
        found.search,
        epochs=epochs,
        no_time_for=found.search.no_time_for if is_said else (*found.search.no_time_for, f"{wanted} epochs"),
        reasons=(*found.search.reasons, line),
        estimate_after_cut=round(seconds, 1),
    )
    if done:
        folder.write_json(layout.SEARCH, search.contents())
    else:
        folder.clear()
    return done, replace(found, recipe=recipe, search=search), line


@dataclass
class Watch:
    """Checks repeatedly whether the epochs of a run fit into the remaining time.

    Args:
        found: the run.
        budget: what is left of the time.
        finished: epochs before.
    """

    found: Found
    budget: Budget
    finished: int

    def __post_init__(self) -> None:
        self.steps = len(batch_sizes(self.found.timing.images, self.found.recipe.optim.batch_size))
        self.taken, self.looked, self.ends = 0, -math.inf, list[float]()
        self.epochs, self.stages = self.found.recipe.optim.epochs, len(self.found.recipe.stages())

    def looks(self) -> bool:
        """Called at each step; whether it is one after which the time is looked at, alike in all processes."""
        begins = self.taken % self.steps == 0
        if begins:  # the epoch before is over, its evaluation and what is kept of it included
            self.ends.append(self.budget.now())
        self.taken += 1
        if self.taken == self._first and not self.finished:
            return self.stages > 1 or self.taken <= self.steps
        return begins and self.taken > 1 and self.stages == 1

    @property
    def _first(self) -> int:
        """The step after which the time is looked at where no epoch has ended before, or stages cannot be divided."""
        return max(FEWEST, math.ceil(FIRST * self.steps * self.epochs))

    def fits(self) -> Cut | None:
        """What the run should be cut to; None where all epochs fit, or it can be no shorter."""
        timing, now, ended = self.found.timing, self.budget.now(), len(self.ends) - 1
        resumes = ended > 0 and self.stages == 1
        if resumes and now - max(self.looked, self.ends[0]) < EVERY:
            return None
        self.looked = now
        if resumes:
            recent = min(ended, max(2, round(RECENT * ended)))  # one epoch alone may have met a moment's load
            each = (self.ends[-1] - self.ends[-1 - recent]) / recent
        else:
            each = (now - self.ends[0]) * self.steps / (self.taken - 1)
        slower = each / max(1e-9, timing.images * timing.image)
        last = slower * timing.final * timing.evaluated
        left = self.budget.left - last - (0.0 if resumes else slower * timing.beginning)
        done = self.finished + ended if resumes else 0
        rest = self.epochs - (done or (self.taken - 1) / self.steps)
        if rest * each <= max(OVER * left, SMALL * 60 * self.budget.minutes):
            return None
        room = left + BEYOND * 60 * self.budget.minutes
        more = max(int(max(0.0, left) / each), int(each <= room) if done else 1)
        fits = max(done + more, self.stages)
        every = self.found.recipe.run.evaluate_every
        seconds = (fits - done) * each + last if resumes else slower * timing.run(fits, every)
        return Cut(fits, seconds) if fits < self.epochs else None
