"""How sure the answers are, and how often these are right."""

from dataclasses import dataclass

from longtail.report.facts.evaluation import Interval


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images of similar confidence.

    Attributes:
        images: how many; about equal in all bins.
        confidence: their mean confidence.
        accuracy: how many are right.
        band: where the accuracy would lie in 95 % of resamples if the confidences were true.
    """

    images: int
    confidence: float
    accuracy: float
    band: Interval


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy: `bins` is empty below 200 images, the two means hold always."""

    bins: tuple[ReliabilityBin, ...]
    confidence: float
    accuracy: float
    histogram: tuple[int, ...]
    """Images in 20 equal steps of confidence from 0 to 1."""


@dataclass(frozen=True, slots=True)
class RiskLine:
    """Error among the answered images as fewer are answered: "all", "many", "medium" or "few".

    `coverage` ascends and is of all images, so that lines of different groups share their thresholds.
    """

    name: str
    images: int
    coverage: tuple[float, ...]
    error: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a threshold on confidence does.

    Attributes:
        coverage: share of all images that is answered (about 100, 90, 80, 70 or 50 %).
        threshold: answer at this confidence or above.
        error: share of wrong answers.
        group_coverage, group_error: the same for many, medium and few; None without images or answers.
    """

    coverage: float
    threshold: float
    error: float | None
    group_coverage: tuple[float | None, float | None, float | None]
    group_error: tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Confidence:
    """Can I trust its confidence?

    Attributes:
        temperature: None where none was fitted.
        before: as the model says it.
        after: divided by the temperature; None where none was fitted.
        risk: a line for all and for each group with images.
        answered: five rows.
        upper: the upper end of the accuracy's 95 % interval; a mean confidence above it is overconfident.
        sentences: what it comes to.
    """

    temperature: float | None
    before: Reliability
    after: Reliability | None
    risk: tuple[RiskLine, ...]
    answered: tuple[Answered, ...]
    upper: float
    sentences: tuple[str, ...]
