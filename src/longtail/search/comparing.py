"""Short trainings of the suggested settings and of candidate changes, compared on the same held-out training images."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from longtail.data import LongTailData
from longtail.data.dataset import counted
from longtail.durations import duration
from longtail.engine.display import Display
from longtail.engine.timing import Timing, time_steps
from longtail.recipe import Recipe, changed, scaled
from longtail.runs.schema import Trial
from longtail.search.candidates import Candidate, candidates
from longtail.search.comparison import Difference, difference, macro
from longtail.search.heads import Heads
from longtail.search.record import trial
from longtail.search.short_training import Division, OutOfTimeError, divide, fewer, judged_logits

SHORT = 3  # epochs of a comparison at least;
FEW = 300  # images of one at least
BUILDING = 4.0  # seconds to build a network, and to judge it
SLOWER = 2.0  # times its expected length after which a comparison is given up
LONGER = 2.0  # times the images of a first short training that a second, longer one shows at least
SPARE = 0.9  # of what is left to compare in, which the longer one is to take
SUGGESTED = Candidate("suggested settings", "", {})
FEATURES = "classifiers on features"


@dataclass(frozen=True)
class Tried:
    """The result of one short training.

    Attributes:
        candidate: the change.
        right: (H,) whether each held-out image was named correctly.
        how: how it was trained, in words.
        seconds: that it took.
        shown: images that it saw in all its epochs.
    """

    candidate: Candidate
    right: Bool[ndarray, " h"]
    how: str
    seconds: float
    shown: int


class Comparing:
    """Short trainings of the suggested settings and of some changes, one after the other.

    Args:
        recipe: the suggested settings.
        data: of the run.
        given: what was asked for, which is not changed.
        timing: of the suggested settings.
        seconds: that all may take.
        display: called with what is done.
        heads: the best classifiers on features; where these are better than the suggested settings beyond chance,
            these are trained again for longer, and no change of them is tried.
        spare: seconds beyond those that may then be planned.
        unused: seconds beyond those that a run on features would leave unused; a longer training that turns out
            slower than planned may take them, so that it is not thrown away when it is nearly done.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: LongTailData,
        given: Mapping[str, Any],
        timing: Timing,
        seconds: float,
        display: Display,
        heads: Heads | None = None,
        spare: float = 0.0,
        unused: float = 0.0,
    ) -> None:
        self.spare, self.unused = spare, unused
        self.recipe, self.data, self.timing, self.display = recipe, data, timing, display
        self.seed, self.seconds, self.heads = recipe.run.seed, seconds, heads
        self.until = time.monotonic() + seconds
        self.wanted = list(candidates(recipe, given, None if heads is None else heads.best.tau))
        self.division = divide(data, recipe.data, self.seed) if heads is None else heads.division
        self.targets = data.train.targets.cpu().numpy()[self.division.held]
        self.tried: list[Tried] = []
        self.lacks_time = self.lacks_longer = False
        self.untried = [one.name for one in self.wanted]

    def run(self) -> str | None:
        """Try what there is time for; returns why nothing was compared, where that is so."""
        if not self.wanted and self.heads is None:
            return "all settings that could be compared were asked for"
        if not len(self.division.held):
            return "no class has enough images to hold some out"
        images = len(fewer(self.division, self.data, FEW, self.seed).rows)  # more than FEW where classes are
        least = self._needs(self.timing, images, self._fewest)
        most = self.seconds / least
        fewest = 2 if self.heads is None else 1
        if most < fewest:
            self.lacks_time = True
            trainings = "two short trainings" if fewest == 2 else "a short training"
            return (
                f"{duration(max(0.0, self.seconds))} are left for comparisons, too few for {trainings} of "
                f"{duration(least)} ({counted(self._fewest, 'epoch')} of {images:,} images, and the "
                f"{len(self.division.held):,} to judge by)"
            )
        self.wanted = self.wanted[: int(most) - 1]
        each = self.seconds / (len(self.wanted) + 1)
        for candidate in (SUGGESTED, *self.wanted):
            if not self._try(candidate, each):
                self.lacks_time = True
                return "the machine became slower than in the timed steps" if candidate is SUGGESTED else None
            if candidate is SUGGESTED and self.heads_gain is not None and self.heads_gain.is_better:
                self.lacks_longer = True
                self._train_longer()
                break  # a change of the settings, trained for less, could not be compared with that
        return None

    def _train_longer(self) -> None:
        """Train the suggested settings again, for as long as there is time, and judge them by that.

        Classifiers on features are fitted to convergence; a few epochs of fine-tuning are not. So it is trained for
        what is left to compare in; and where features are still better, for a part of the time that they would leave.
        """
        tried, notes, started = [self.tried[0]], list[str](), time.monotonic()
        latest = self.until + self.unused
        for more in dict.fromkeys((0.0, self.spare)):
            self.until += more
            left = SPARE * (self.until - time.monotonic())
            division, epochs = self._length(self.timing, left)
            needs = self._needs(self.timing, len(division.rows), epochs)
            if epochs * len(division.rows) < LONGER * tried[-1].shown or needs > left:
                continue
            self.lacks_longer = False
            length = f"{epochs} epochs of {len(division.rows):,} images"
            self.display.say(
                f"{FEATURES} are ahead of fine-tuning for {tried[-1].how}; before that decides, it is trained for "
                f"{length}: about {duration(needs)}"
            )
            self.tried = []
            self._try(SUGGESTED, left, latest)
            if not self.tried:
                notes = [f"for {length}: given up, slower than the timed steps said"]
                break
            tried.append(self.tried[0])
            if self.heads_gain is None or not self.heads_gain.is_better:
                break
        *earlier, last = tried
        notes = [f"after {one.how}: {100 * macro(one.right, self.targets)[0]:.1f}" for one in earlier] + notes
        how = f"{last.how} ({'; '.join(notes) or 'no time for more'})"
        seconds = tried[0].seconds + time.monotonic() - started
        self.tried = [replace(last, how=how, seconds=seconds)]

    def _try(self, candidate: Candidate, each: float, latest: float = 0.0) -> bool:
        """Train and judge; False where the time is over, which is not before `latest`."""
        started = time.monotonic()
        recipe = changed(self.recipe, candidate.settings)
        timing = time_steps(recipe, self.data) if candidate.is_costly else self.timing
        division, epochs = self._length(timing, each)
        name = f"comparing: {candidate.name}"
        left, needs = max(self.until, latest) - started, self._needs(timing, len(division.rows), epochs)
        if needs > left and candidate is not SUGGESTED:
            self.display.say(
                f"{candidate.name}: not tried, a short training takes {duration(needs)}, and "
                f"{duration(max(0.0, left))} are left to compare in"
            )
            return True
        try:
            logits = judged_logits(
                scaled(recipe, epochs), self.data, division, max(left, 1.0) if candidate is SUGGESTED else
                min(SLOWER * each, max(left, 1.0)), lambda done, total: self.display.work(name, done, total),
            )  # fmt: skip
        except OutOfTimeError:
            self.display.say(f"{candidate.name}: given up, slower than the timed steps said")
            return candidate is not SUGGESTED and time.monotonic() < self.until
        self.untried = [one for one in self.untried if one != candidate.name]
        how = f"{epochs} epochs of {len(division.rows):,} images"
        seconds = time.monotonic() - started
        counts = np.bincount(self.data.train.targets.cpu().numpy()[division.rows], minlength=logits.shape[1])
        for tau in candidate.adjusted or (None,):
            values = (
                logits.numpy() if tau is None else logits.numpy() + (1 - tau) * np.log(np.maximum(counts, 1))
            )
            right = values.argmax(axis=1) == self.targets
            shown = epochs * len(division.rows)
            self.tried.append(Tried(_of(candidate, tau), right, how, seconds, shown))
        return True

    def _length(self, timing: Timing, each: float) -> tuple[Division, int]:
        """Which images a training of so many seconds sees, and how often."""
        rows, wanted = len(self.division.rows), self.recipe.optim.epochs
        shown = max(0.0, each - self._beside(timing)) / timing.image
        if shown >= self._fewest * rows:
            return self.division, int(min(wanted, shown // rows))
        return fewer(self.division, self.data, int(shown / self._fewest), self.seed), self._fewest

    @property
    def _fewest(self) -> int:
        """Epochs of a short training at least."""
        return max(1, min(self.recipe.optim.epochs, SHORT), len(self.recipe.stages()))

    def _needs(self, timing: Timing, images: int, epochs: int) -> float:
        """Seconds that a short training takes."""
        return epochs * images * timing.image + self._beside(timing)

    def _beside(self, timing: Timing) -> float:
        """Seconds of a short training beside its steps: to build and begin a network, and to judge it."""
        return BUILDING + timing.beginning + len(self.division.held) * timing.evaluated

    @property
    def chosen(self) -> list[Candidate]:
        """Of each factor the change that is best, where it is better than the suggested settings beyond chance."""
        best: dict[str, tuple[float, Candidate]] = {}
        for one in self.tried[1:]:
            found = self._gain(one)
            if found.is_better and found.value > best.get(one.candidate.factor, (0.0, SUGGESTED))[0]:
                best[one.candidate.factor] = found.value, one.candidate
        return [candidate for _, candidate in best.values()]

    def _gain(self, one: Tried) -> Difference:
        return difference(one.right, self.tried[0].right, self.targets, self.division.units)

    @property
    def best(self) -> Tried | None:
        """The best of the fine-tunings: of those that are taken, else of the suggested settings."""
        taken = [one for one in self.tried if one.candidate in self.chosen] or self.tried[:1]
        return max(taken, key=lambda one: macro(one.right, self.targets)[0], default=None)

    @property
    def heads_gain(self) -> Difference | None:
        """Of the classifiers on features over the best of the fine-tunings; None where either is missing."""
        best = self.best
        if self.heads is None or best is None:
            return None
        return difference(self.heads.right, best.right, self.targets, self.division.units)

    def trials(self, *, frozen: bool) -> tuple[Trial, ...]:
        """What was tried, for the record.

        Args:
            frozen: whether the classifiers on features are taken.
        """
        chosen, tried = self.chosen, list(self.tried)
        if self.heads is not None and tried:
            own = Candidate(f"{FEATURES}: {self.heads.best.name}", "", {"model.frozen": True})
            tried.append(Tried(own, self.heads.right, self.heads.how, self.heads.seconds, 0))
        rows = []
        for one in tried:
            is_base, is_frozen = one.candidate is SUGGESTED, one.candidate.name.startswith(FEATURES)
            base = None if is_base else self.tried[0].right
            is_chosen = is_frozen if frozen else one.candidate in chosen or (is_base and not chosen)
            named = one.candidate.name, one.candidate.settings, one.how
            units = self.division.units
            rows.append(
                trial(named, one.right, base, self.targets, one.seconds, chosen=is_chosen, units=units)
            )
        return tuple(rows)


def _of(candidate: Candidate, tau: float | None) -> Candidate:
    """The candidate as judged with this strength of logit adjustment."""
    if tau is None:
        return candidate
    if tau == 0:
        return replace(candidate, settings={"method.name": "cross_entropy"}, adjusted=())
    name, settings = (
        f"{candidate.name}, logits adjusted by {tau:g}",
        {**candidate.settings, "method.tau": tau},
    )
    return replace(candidate, name=name, settings=settings, adjusted=())
