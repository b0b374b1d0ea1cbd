"""What a search tried and chose: for the run folder, and in lines for people."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jaxtyping import Bool, Int
from numpy import ndarray

from longtail.durations import duration
from longtail.search.comparison import difference, macro

FORMAT = 1


@dataclass(frozen=True)
class Trial:
    """One set of settings that was tried.

    Attributes:
        name: what it changes of the suggested settings, in words.
        settings: "section.key" -> value.
        how: how it was trained, in words.
        macro: mean recall on the held-out images, in [0, 1].
        low: lower end of its 95 % interval.
        high: upper end.
        gain: macro less that of the suggested settings on the same images; None for these themselves.
        gain_low: lower end of its 95 % interval.
        gain_high: upper end.
        seconds: that it took.
        chosen: whether the run has it.
    """

    name: str
    settings: Mapping[str, Any]
    how: str
    macro: float
    low: float
    high: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    seconds: float
    chosen: bool = False

    @classmethod
    def of(
        cls,
        named: tuple[str, Mapping[str, Any], str],
        right: Bool[ndarray, " n"],
        base: Bool[ndarray, " n"] | None,
        truth: Int[ndarray, " n"],
        seconds: float,
        *,
        chosen: bool,
    ) -> "Trial":
        """What was tried, with its score.

        Args:
            named: its name, settings, and how it was trained.
            right: (N,) whether each image was named correctly.
            base: (N,) the same of what it is compared with; None: nothing.
            truth: (N,) classes.
            seconds: that it took.
            chosen: whether the run has it.
        """
        gain = None if base is None else difference(right, base, truth)
        low, high = (None, None) if gain is None else (gain.low, gain.high)
        value = None if gain is None else gain.value
        return cls(*named, *macro(right, truth), value, low, high, round(seconds, 1), chosen)

    @property
    def verdict(self) -> str:
        """What the difference to the suggested settings says."""
        if self.gain_low is None or self.gain_high is None:
            return "suggested"
        return "better" if self.gain_low > 0 else "worse" if self.gain_high < 0 else "tie"


@dataclass(frozen=True)
class Search:
    """How the settings of a run were chosen.

    Attributes:
        minutes: the budget of the whole command.
        seconds: that the search took.
        speed: of the steps that were timed, in words.
        estimate: seconds that the run was expected to take before it began.
        epochs: of the run.
        images: training images that were held out to judge by; 0 where nothing was compared.
        trials: what was tried.
        reasons: what was chosen and why, what was cut, and why nothing was compared where that is so.
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
    heads: tuple[Trial, ...] = ()
    head_images: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    estimate_after_cut: float | None = None
    needed: float | None = None

    def contents(self) -> dict[str, Any]:
        """The content of search.json."""
        tables = {"trials": self.trials, "heads": self.heads}
        rows = {
            name: [asdict(trial) | {"verdict": trial.verdict} for trial in trials]
            for name, trials in tables.items()
        }
        return {"format": FORMAT} | asdict(self) | rows

    def lines(self) -> Iterator[str]:
        """What to tell about it."""
        if self.heads:
            yield (
                f"classifiers on features compared on {self.head_images:,} training images, each judged by one that "
                "did not see it; the first has the least log loss, averaged over classes (macro recall in %, 95 % "
                "intervals, difference to the first):"
            )
            width = max(len(trial.name) for trial in self.heads)
            yield from (f"  {_row(trial, width)}" for trial in self.heads)
        if self.trials:
            yield (
                f"compared on {self.images:,} training images that were held out for this "
                "(macro recall in %, 95 % intervals; test images are not looked at):"
            )
            width = max(len(trial.name) for trial in self.trials)
            yield from (f"  {_row(trial, width)}" for trial in self.trials)
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
