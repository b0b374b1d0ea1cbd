"""From suggested settings and a budget to the settings of a run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from longtail.data import LongTailData
from longtail.data.dataset import counted
from longtail.durations import duration
from longtail.engine.display import Display
from longtail.engine.timing import Timing, of_data, time_steps
from longtail.recipe import Recipe, changed, scaled
from longtail.search.budget import FEWEST, SEARCH, Budget
from longtail.search.candidates import Candidate, candidates
from longtail.search.comparison import Difference, difference, macro
from longtail.search.record import Search, Trial
from longtail.search.short_training import Division, OutOfTimeError, divide, fewer, judged_logits
from longtail.types import InputError

SMALLEST = (
    100  # training images below which nothing is compared: held-out images are too few to tell settings apart
)
SHORT = 3  # epochs of a comparison at least;
FEW = 300  # images of one at least
BUILDING = 4.0  # seconds to build a network, and to judge it
SLOWER = 2.0  # times its expected length after which a comparison is given up
EVALUATED = 0.15  # share of a run's time for evaluations above which they are left to its end


@dataclass(frozen=True)
class Found:
    """The settings of a run within a budget.

    Attributes:
        recipe: of the run.
        search: how they were found.
        timing: of the recipe.
    """

    recipe: Recipe
    search: Search
    timing: Timing


@dataclass(frozen=True)
class _Tried:
    candidate: Candidate
    right: Bool[ndarray, " h"]
    how: str
    seconds: float


SUGGESTED = Candidate("suggested settings", "", {})


def find_settings(
    recipe: Recipe,
    data: LongTailData,
    given: Mapping[str, Any],
    budget: Budget,
    display: Display,
    timing: Timing,
    *,
    runs: int = 1,
) -> Found:
    """Compare settings on held-out training images within a third of the time, and fit the run into the rest.

    Args:
        recipe: the suggested settings.
        data: its images; those of the validation and test part are not looked at.
        given: what was asked for, which is not changed.
        budget: what is left of the time of the command.
        display: told what is done.
        timing: of the suggested settings.
        runs: how many runs share the time, of several seeds.
    """
    started = time.monotonic()
    timing = of_data(timing, data)
    speed = f"{1000 * timing.image:.3g} ms an image on {timing.where}"
    trials: tuple[Trial, ...] = ()
    chosen: list[Candidate] = []
    images, why_not = 0, _why_not(data, budget)
    if why_not is None:
        search = _Comparing(recipe, data, given, timing, SEARCH * budget.left, display)
        why_not = search.run()
        trials, chosen, images = search.trials(), search.chosen, len(search.division.held)
    settings = {key: value for one in chosen for key, value in one.settings.items()}
    if any(one.is_costly for one in chosen):
        timing = of_data(time_steps(changed(recipe, settings), data), data)
    final, reasons = fitted(changed(recipe, settings), timing, budget.left / runs, given, budget.minutes)
    reasons = [*_why(chosen, trials, why_not), *reasons]
    spent, estimate = (
        time.monotonic() - started,
        runs * timing.run(final.optim.epochs, final.run.evaluate_every),
    )
    record = Search(
        budget.minutes, round(spent, 1), speed, round(estimate, 1), final.optim.epochs, images, trials, tuple(reasons)
    )  # fmt: skip
    return Found(final, record, timing)


def _why_not(data: LongTailData, budget: Budget) -> str | None:
    """Why nothing is compared."""
    number = len(data.train)
    if number < SMALLEST:
        return f"there are {number:,} training images, too few to hold some out"
    if budget.left < FEWEST:
        return f"{duration(max(0.0, budget.left))} of {budget.minutes:g} min are left, too few to compare settings in"
    return None


def _why(chosen: Sequence[Candidate], trials: Sequence[Trial], why_not: str | None) -> list[str]:
    if why_not is not None:
        return [f"suggested settings, none compared: {why_not}"]
    if chosen:
        return [f"chosen: {one.name}, better than the suggested settings beyond chance" for one in chosen]
    ties = sum(trial.verdict == "tie" for trial in trials)
    told = f" ({ties} within chance of them: a tie goes to the simpler, suggested ones)" if ties else ""
    return [f"chosen: the suggested settings; nothing that was tried is better{told}"]


def fitted(
    recipe: Recipe, timing: Timing, left: float, given: Mapping[str, Any], minutes: float
) -> tuple[Recipe, list[str]]:
    """The recipe with as many of its epochs as fit into the time, and what to tell about it."""
    wanted, reasons = recipe.optim.epochs, []
    every = recipe.run.evaluate_every
    evaluating = timing.run(wanted, every) - timing.run(wanted, 0)
    if (
        every
        and "run.evaluate_every" not in given
        and evaluating > EVALUATED * min(left, timing.run(wanted, 0))
    ):
        recipe, every = changed(recipe, {"run.evaluate_every": 0}), 0
        reasons.append("evaluated after the last epoch alone: more would take a good part of the time")
    fits = timing.epochs_within(left, every)
    fewest = len(recipe.stages())
    epochs = max(fewest, min(wanted, fits))
    while epochs < wanted:  # stages that are too short to be divided need some more
        try:
            scaled(recipe, epochs).stages()
            break
        except InputError:
            epochs += 1
    if epochs < wanted:
        recipe = scaled(recipe, epochs)
        whole = duration(timing.run(wanted, every))
        reasons.append(
            f"cut: {counted(epochs, 'epoch')} instead of {wanted}, which would take {whole}; --minutes gives it more"
        )
    if fits < epochs:
        reasons.append(
            f"{counted(epochs, 'epoch')} will take longer than is left of {minutes:g} min; fewer cannot be trained"
        )
    speed = f"{1000 * timing.image:.3g} ms an image on {timing.where}, timed"
    reasons.append(
        f"training takes about {duration(timing.run(epochs, every))} ({counted(epochs, 'epoch')}, {speed})"
    )
    return recipe, reasons


class _Comparing:
    """Short trainings of the suggested settings and of some changes, one after the other."""

    def __init__(
        self,
        recipe: Recipe,
        data: LongTailData,
        given: Mapping[str, Any],
        timing: Timing,
        seconds: float,
        display: Display,
    ) -> None:
        self.recipe, self.data, self.timing, self.seconds, self.display = (
            recipe,
            data,
            timing,
            seconds,
            display,
        )
        self.seed, self.until = recipe.run.seed, time.monotonic() + seconds
        self.wanted = list(candidates(recipe, given))
        self.division = divide(data, recipe.data, self.seed)
        self.targets = data.train.targets.cpu().numpy()[self.division.held]
        self.tried: list[_Tried] = []

    def run(self) -> str | None:
        """Try what there is time for; returns why nothing was compared, where that is so."""
        held, least = len(self.division.held), min(FEW, len(self.division.rows))
        if not self.wanted:
            return "all that would be compared was asked for"
        if held == 0:
            return "no class has images to spare"
        most = self.seconds / (SHORT * least * self.timing.image + BUILDING + held * self.timing.evaluated)
        if most < 2:
            return f"the {duration(self.seconds)} that a search may take are too few for two short trainings"
        self.wanted = self.wanted[: int(most) - 1]
        each = self.seconds / (len(self.wanted) + 1)
        for candidate in (SUGGESTED, *self.wanted):
            if not self._try(candidate, each):
                return "the machine is slower than the timed steps said" if candidate is SUGGESTED else None
        return None

    def _try(self, candidate: Candidate, each: float) -> bool:
        """Train and judge; False where the time is over."""
        started = time.monotonic()
        recipe = changed(self.recipe, candidate.settings)
        timing = time_steps(recipe, self.data) if candidate.is_costly else self.timing
        division, epochs = self._length(timing, each)
        name = f"comparing: {candidate.name}"
        left = self.until - started
        try:
            logits = judged_logits(
                scaled(recipe, epochs), self.data, division, max(left, 1.0) if candidate is SUGGESTED else
                min(SLOWER * each, max(left, 1.0)), lambda done, total: self.display.work(name, done, total),
            )  # fmt: skip
        except OutOfTimeError:
            self.display.say(f"{candidate.name}: given up, slower than the timed steps said")
            return time.monotonic() < self.until
        how = f"{epochs} epochs of {len(division.rows):,} images"
        seconds = time.monotonic() - started
        counts = np.bincount(self.data.train.targets.cpu().numpy()[division.rows], minlength=logits.shape[1])
        for tau in candidate.adjusted or (None,):
            values = (
                logits.numpy() if tau is None else logits.numpy() + (1 - tau) * np.log(np.maximum(counts, 1))
            )
            right = values.argmax(axis=1) == self.targets
            self.tried.append(_Tried(_of(candidate, tau), right, how, seconds))
        return True

    def _length(self, timing: Timing, each: float) -> tuple[Division, int]:
        """Which images a training of so many seconds sees, and how often."""
        rows, wanted = len(self.division.rows), self.recipe.optim.epochs
        shown = max(0.0, each - BUILDING - len(self.division.held) * timing.evaluated) / timing.image
        fewest = max(1, min(wanted, SHORT), len(self.recipe.stages()))
        if shown >= fewest * rows:
            return self.division, int(min(wanted, shown // rows))
        return fewer(self.division, self.data, int(shown / fewest), self.seed), fewest

    @property
    def chosen(self) -> list[Candidate]:
        """Of each factor the change that is best, where it is better than the suggested settings beyond chance."""
        best: dict[str, tuple[float, Candidate]] = {}
        for one in self.tried[1:]:
            found = self._gain(one)
            if found.is_better and found.value > best.get(one.candidate.factor, (0.0, SUGGESTED))[0]:
                best[one.candidate.factor] = found.value, one.candidate
        return [candidate for _, candidate in best.values()]

    def _gain(self, one: _Tried) -> Difference:
        return difference(one.right, self.tried[0].right, self.targets)

    def trials(self) -> tuple[Trial, ...]:
        """What was tried, for the record."""
        taken, rows = [one.name for one in self.chosen], []
        for one in self.tried:
            value, low, high = macro(one.right, self.targets)
            is_base = one.candidate is SUGGESTED
            gain = None if is_base else self._gain(one)
            named = one.candidate.name
            ends = [None] * 3 if gain is None else [gain.value, gain.low, gain.high]
            is_chosen = named in taken or (is_base and not taken)
            trial = Trial(
                named, one.candidate.settings, one.how, value, low, high, ends[0], ends[1], ends[2],
                round(one.seconds, 1), is_chosen,
            )  # fmt: skip
            rows.append(trial)
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
