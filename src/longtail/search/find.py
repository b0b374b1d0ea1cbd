"""The search: from suggested settings and a time budget to the settings of a run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.data import LongTailData
from longtail.data.dataset import counted
from longtail.durations import duration
from longtail.engine.display import Display
from longtail.engine.timing import Timing, of_data, time_steps
from longtail.recipe import Recipe, changed
from longtail.runs.schema import Trial
from longtail.search.budget import FEWEST, SEARCH, Budget
from longtail.search.candidates import Candidate
from longtail.search.comparing import FEATURES, Comparing
from longtail.search.comparison import Difference
from longtail.search.heads import Heads
from longtail.search.lengths import fitted
from longtail.search.probing import GOOD
from longtail.search.record import Search

SMALLEST = (
    100  # training images below which nothing is compared: held-out images are too few to tell settings apart
)

UNEVEN = "the best of many classifiers, fitted to convergence, against one or few fine-tunings: that favours features"


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


def find_settings(
    recipe: Recipe,
    data: LongTailData,
    given: Mapping[str, Any],
    budget: Budget,
    display: Display,
    timing: Timing,
    *,
    runs: int = 1,
    heads: Heads | None = None,
    seconds: float | None = None,
) -> Found:
    """Compare settings on held-out training images, and fit the run into the rest of the time.

    Args:
        recipe: the suggested settings.
        data: its images; those of the validation and test split are not looked at.
        given: what was asked for, which is not changed.
        budget: what is left of the time of the command.
        display: called with what is done.
        timing: of the suggested settings.
        runs: how many runs share the time, of several seeds.
        heads: the best classifiers on features, where these could be compared.
        seconds: that comparing may take; None: a third of what is left.
    """
    started = time.monotonic()
    timing = of_data(timing, data)
    speed = f"{1000 * timing.image:.3g} ms an image on {timing.where}"
    search, why_not = None, _why_not(data, budget)
    lacks_time = why_not is not None and len(data.train) >= SMALLEST
    if why_not is None:
        most = SEARCH * budget.left if seconds is None else seconds
        unused = 0.0 if heads is None else max(0.0, budget.left - most - runs * heads.run_seconds(timing))
        spare = max(0.0, min(SEARCH * (budget.left - most), unused))
        search = Comparing(recipe, data, given, timing, most, display, heads, spare, unused)
        why_not = search.run()
        lacks_time = search.lacks_time
        search = search if search.tried else None
    left = budget.left / runs
    why_frozen = None if heads is None else _frozen(heads, search, why_not, timing, left, recipe.optim.epochs)
    trials = () if search is None else search.trials(frozen=why_frozen is not None)
    if heads is not None and why_frozen is not None:
        final, estimate = heads.best.recipe, heads.run_seconds(timing)
        reasons = [why_frozen, *_too_long(estimate, left, budget), _length(final, estimate)]
    else:
        chosen = [] if search is None else search.chosen
        final, timing = _changed(recipe, chosen, timing, data)
        final, reasons = fitted(final, timing, budget.left / runs, given, budget.minutes)
        reasons = [*_why(chosen, trials, why_not), *_untried(search), *_over_heads(heads, search), *reasons]
        estimate = timing.run(final.optim.epochs, final.run.evaluate_every)
    record = Search(
        budget.minutes, round(time.monotonic() - started, 1), speed, round(runs * estimate, 1), final.optim.epochs,
        0 if search is None else len(search.division.held), trials, tuple(reasons),
        no_time_for=_no_time_for(
            lacks_time and search is None, search, recipe, None if why_frozen is not None else final
        ),
        heads=() if heads is None else heads.trials, head_images=0 if heads is None else heads.images,
    )  # fmt: skip
    return Found(final, record, timing)


def _changed(
    recipe: Recipe, chosen: Sequence[Candidate], timing: Timing, data: LongTailData
) -> tuple[Recipe, Timing]:
    """The recipe with all changes that are taken, and how long it takes."""
    final = changed(recipe, {key: value for one in chosen for key, value in one.settings.items()})
    costly = any(one.is_costly for one in chosen)
    return final, of_data(time_steps(final, data), data) if costly else timing


def _frozen(
    heads: Heads, search: Comparing | None, why_not: str | None, timing: Timing, left: float, wanted: int
) -> str | None:
    """Why the run trains classifiers on features; None where it fine-tunes."""
    name = f"chosen: {FEATURES} ({heads.best.name})"
    best, gain = (None, None) if search is None else (search.best, search.heads_gain)
    if best is None or gain is None:
        return f"{name}; fine-tuning was not compared: {why_not}"
    if gain.is_better:
        return f"{name}: better than fine-tuning for {best.how}, beyond chance ({UNEVEN})"
    fits = timing.epochs_within(left, 0)
    if gain.high < 0 or fits >= min(GOOD, wanted):
        return None
    return (
        f"{name}: a tie with short fine-tunings ({_points(gain)}); a tie goes to features, which are cheaper, where "
        f"the time left ({duration(max(0.0, left))}) allows only {counted(fits, 'epoch')} of fine-tuning"
    )


def _points(gain: Difference) -> str:
    return f"difference {100 * gain.low:+.1f} to {100 * gain.high:+.1f} points of macro recall"


def _untried(search: Comparing | None) -> list[str]:
    """What would have been tried, had there been time."""
    missing = [] if search is None else search.untried
    return [f"not tried, no time: {', '.join(missing)}"] if missing else []


def _no_time_for(
    nothing_compared: bool, search: Comparing | None, suggested: Recipe, final: Recipe | None
) -> tuple[str, ...]:
    """What more time would allow, in words; `final` is None where a run on features was chosen."""
    wanted, found = suggested.optim.epochs, ["comparing short fine-tunings"] if nothing_compared else []
    if final is not None:
        found += [] if search is None else [f"trying {name}" for name in search.untried]
        found += [f"{wanted} epochs"] if final.optim.epochs < wanted else []
    elif search is not None and (gain := search.heads_gain) is not None:
        found += ["comparing a longer fine-tuning"] if search.lacks_longer else []
        found += [] if gain.is_better else [f"{counted(min(GOOD, wanted), 'epoch')} of fine-tuning"]
    return tuple(found)


def _over_heads(heads: Heads | None, search: Comparing | None) -> list[str]:
    """Why the run fine-tunes although classifiers on features could be had."""
    gain = None if heads is None or search is None else search.heads_gain
    if gain is None:
        return []
    if gain.high < 0:
        return [f"fine-tuned: better than {FEATURES}, beyond chance"]
    return [
        f"fine-tuned: a tie with {FEATURES} ({_points(gain)}); a tie goes to fine-tuning where the time allows "
        f"{GOOD} epochs or all"
    ]


def _too_long(seconds: float, left: float, budget: Budget) -> list[str]:
    """What is said where a run on features takes longer than is left."""
    if seconds <= left:
        return []
    return [
        f"this will exceed the {budget.minutes:g} min by {duration(seconds - max(0.0, left))}: the features of every "
        "image have to be computed, those of validation and test images too"
    ]


def _length(recipe: Recipe, seconds: float) -> str:
    """How long a run on features takes."""
    return (
        f"training takes about {duration(seconds)} (features that are not stored yet, then "
        f"{counted(recipe.optim.epochs, 'epoch')} of the classifiers)"
    )


def _why_not(data: LongTailData, budget: Budget) -> str | None:
    """Why nothing is compared."""
    number = len(data.train)
    if number < SMALLEST:
        return f"there are {number:,} training images, too few to hold some out"
    if budget.left < FEWEST:
        return f"{duration(max(0.0, budget.left))} of {budget.minutes:g} min are left, too few to compare settings"
    return None


def _why(chosen: Sequence[Candidate], trials: Sequence[Trial], why_not: str | None) -> list[str]:
    if why_not is not None:
        return [f"suggested settings, none compared: {why_not}"]
    if chosen:
        return [f"chosen: {one.name}, better than the suggested settings beyond chance" for one in chosen]
    trials = [
        trial for trial in trials if not trial.name.startswith(FEATURES)
    ]  # for which another rule holds
    if len(trials) == 1:
        return ["chosen: the suggested settings; there was no time to try others"]
    ties = sum(trial.verdict == "tie" for trial in trials)
    tied = f" ({ties} within chance: a tie goes to the suggested settings, which are simpler)"
    return [
        f"chosen: the suggested settings; nothing that was tried is better beyond chance{tied if ties else ''}"
    ]
