"""Each expert alone, all together, and where they disagree."""

from dataclasses import dataclass

from longtail.report.facts.evaluation import Interval


@dataclass(frozen=True, slots=True)
class ExpertRow:
    """Scores of one expert, or of "all experts" together."""

    name: str
    overall: float | None
    macro: float | None
    many: float | None
    medium: float | None
    few: float | None


@dataclass(frozen=True, slots=True)
class Gain:
    """Together minus the best expert by macro, on the same images, for one score."""

    score: str
    best: str
    value: float
    interval: Interval
    measurable: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """Images on which experts "all agree", have a "majority" or are "split"; accuracy is None without images."""

    name: str
    images: int
    share: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Experts:
    """What do the experts add? Rows: each expert, then all together; all empty for one, or without an evaluation."""

    rows: tuple[ExpertRow, ...] = ()
    gains: tuple[Gain, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    sentences: tuple[str, ...] = ()
