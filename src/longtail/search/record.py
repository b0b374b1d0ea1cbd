"""The record of a search: what was tried and chosen, for search.json and for the terminal."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jaxtyping import Bool, Int
from numpy import ndarray

from longtail.durations import duration
from longtail.runs.schema import Trial
from longtail.search.comparison import difference, macro

FORMAT = 1


def trial(
    named: tuple[str, Mapping[str, Any], str],
    right: Bool[ndarray, " n"],
    base: Bool[ndarray, " n"] | None,
    truth: Int[ndarray, " n"],
    seconds: float,
    *,
    chosen: bool,
    units: Int[ndarray, " n"] | None = None,
) -> Trial:
    """What was tried, with its score.

    Args:
        named: its name, settings, and how it was trained.
        right: (N,) whether each image was named correctly.
        base: (N,) the same of what it is compared with; None: nothing.
        truth: (N,) classes.
        seconds: that it took.
        chosen: whether the run has it.
        units: (N,) groups of images that depend on each other; None: there are none.
    """
    (name, settings, how), (mean, low, high) = named, macro(right, truth, units)
    gain = None if base is None else difference(right, base, truth, units)
    ends = {} if gain is None else {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    verdict = (
        "suggested" if gain is None else "better" if gain.low > 0 else "worse" if gain.high < 0 else "tie"
    )
    return Trial(
        name=name, settings=dict(settings), how=how, macro=mean, low=low, high=high, seconds=round(seconds, 1),
        chosen=chosen, verdict=verdict, **{"gain": None, "gain_low": None, "gain_high": None, **ends},
    )  # fmt: skip


@dataclass(frozen=True)
class Search:
    """The record of how the settings of a run were chosen.

    Attributes:
        minutes: the budget of the whole command.
        seconds: that the search took.
        speed: of the steps that were timed, in words.
        estimate: seconds that the run was expected to take before it began.
        epochs: of the run.
        images: training images that were held out to judge by; 0 where nothing was compared.
        trials: what was tried.
        reasons: what was chosen and why, what was cut, and why nothing was compared where that is so.
        no_time_for: what the minutes were too few for, in words.
        heads: classifiers on features that were compared by cross-validation; gains are over the best.
        head_images: training images that these were judged by, each by classifiers that did not see it.
        asked: what the command asked for, by which a run that was interrupted is found again.
        estimate_after_cut: seconds that the run was expected to take when epochs were cut for the last time while it
            ran, those before included; None where none were.
        needed: seconds that the run took: features, steps, evaluations and what was kept; None until it is finished,
            and where it was interrupted on the way.
    """

    minutes: float
    seconds: float
    speed: str
    estimate: float
    epochs: int
    images: int = 0
    trials: tuple[Trial, ...] = ()
    reasons: tuple[str, ...] = ()
    no_time_for: tuple[str, ...] = ()
    heads: tuple[Trial, ...] = ()
    head_images: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    estimate_after_cut: float | None = None
    needed: float | None = None

    def contents(self) -> dict[str, Any]:
        """The content of search.json."""
        tables = {"trials": self.trials, "heads": self.heads}
        rows = {name: [one.model_dump() for one in trials] for name, trials in tables.items()}
        return {"format": FORMAT} | asdict(replace(self, trials=(), heads=())) | rows

    def lines(self) -> Iterator[str]:
        """The lines about it, for people."""
        if self.heads:
            yield (
                f"classifiers on features, cross-validated on {self.head_images:,} training images; the first has the "
                "least log loss, averaged over classes (macro recall in %, 95 % intervals, difference to the first):"
            )
            width = max(len(one.name) for one in self.heads)
            yield from (f"  {_row(one, width)}" for one in self.heads)
        if self.trials:
            yield (
                f"compared on {self.images:,} training images that were held out for this "
                "(macro recall in %, 95 % intervals; test images are not used):"
            )
            width = max(len(one.name) for one in self.trials)
            yield from (f"  {_row(one, width)}" for one in self.trials)
        yield from self.reasons


def _row(trial: Trial, width: int) -> str:
    own = (
        f"{trial.name:<{width}}  {_per_cent(trial.macro)} ({_per_cent(trial.low)} to {_per_cent(trial.high)})"
    )
    if trial.gain is not None and trial.gain_low is not None and trial.gain_high is not None:
        words = "within chance, a tie" if trial.verdict == "tie" else trial.verdict
        signed = [f"{100 * value:+.1f}" for value in (trial.gain, trial.gain_low, trial.gain_high)]
        own += f"  {signed[0]} ({signed[1]} to {signed[2]}), {words}"
    return f"{own}; {trial.how}, {duration(trial.seconds)}"


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f}"
