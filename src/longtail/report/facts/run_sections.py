"""What the later sections of the report state: confidence, experts, training, data, what next, how to repeat it."""

from dataclasses import dataclass

from longtail.data.left_out import FileCounts, LeftOut
from longtail.report.facts.sections import Interval


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
        upper: the upper end of the accuracy's 95 % interval; a mean confidence above it boasts.
        sentences: what it comes to.
    """

    temperature: float | None
    before: Reliability
    after: Reliability | None
    risk: tuple[RiskLine, ...]
    answered: tuple[Answered, ...]
    upper: float
    sentences: tuple[str, ...]


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
    """What do the experts add? Rows: each expert, then all together."""

    rows: tuple[ExpertRow, ...]
    gains: tuple[Gain, ...]
    agreement: tuple[Agreement, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: `epochs` count from 1; `kind` is "loss", "score" or "rate"."""

    name: str
    kind: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """Did training go well? `scores_on` names the part behind the score curves, "" if there are none.

    `stages` holds the name, first and last finished epoch of each stage; `edges` the epochs after which one ended.
    """

    series: tuple[Series, ...]
    scores_on: str
    stages: tuple[tuple[str, int, int], ...]
    edges: tuple[int, ...]
    epochs: int


@dataclass(frozen=True, slots=True)
class RankedCount:
    """Training images of a class, most first."""

    name: str
    train_images: int
    group: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Images that are the same ("exact") or nearly so ("near"); `leak` and `conflict` are two that show it, or ()."""

    kind: str
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    leak: tuple[str, ...] = ()
    conflict: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeakingGroup:
    """A patient, camera or burst in more than one split."""

    group: str
    splits: tuple[str, ...]
    images: int


@dataclass(frozen=True, slots=True)
class Data:
    """What is in the data?

    Attributes:
        counts: by rank.
        imbalance_factor: largest over smallest class.
        audited: whether the audit's file was there; the fields below are empty without it.
        checked_near: whether near duplicates were looked for.
        unreadable, suspicious: (path, reason).
        repaired: (path, what was ignored) of images damaged beside their pixels.
        duplicates: all; those over more than one split first.
        leaking_groups: in more than one split.
        not_tested, single_image, too_small: class names.
        unknown_classes: (name, images) in the evaluated data and not in the model.
        left_out: what lay among the images and is not used, by reason.
        files: what became of all that was found, where that was counted.
        remarks: what else is odd about the set, a line each.
        check: the command that looks at all images; "" of a published set.
    """

    counts: tuple[RankedCount, ...]
    imbalance_factor: float | None
    audited: bool
    checked_near: bool
    unreadable: tuple[tuple[str, str], ...]
    suspicious: tuple[tuple[str, str], ...]
    duplicates: tuple[Duplicate, ...]
    leaking_groups: tuple[LeakingGroup, ...]
    not_tested: tuple[str, ...]
    single_image: tuple[str, ...]
    too_small: tuple[str, ...]
    unknown_classes: tuple[tuple[str, int], ...]
    left_out: tuple[LeftOut, ...] = ()
    repaired: tuple[tuple[str, str], ...] = ()
    files: FileCounts | None = None
    remarks: tuple[str, ...] = ()
    check: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Something worth doing.

    Attributes:
        text: what, and the evidence for it, with its numbers.
        command: to be run in the folder in which the report is made; "" where there is none.
        place: the section of the page that helps, or "".
        points: macro points that the evidence puts at stake, or that are assumed; they only sort.
    """

    text: str
    command: str
    place: str = ""
    points: float = 0.0


@dataclass(frozen=True, slots=True)
class Repeat:
    """What is needed to repeat the run; against which shipped recipe, see `page.nearest_recipe`.

    Attributes:
        command: what trains it again, seen from the folder in which the report is made.
        seed: of all randomness.
        index_hash: of the training images, "" if unknown.
        versions: (package, version).
        machine: (what, value) of the device; no host and no user.
        seconds: training and evaluation together; None if unknown.
        limits: what the report cannot tell, in sentences.
        glossary: (word, meaning).
    """

    command: str
    seed: int
    index_hash: str
    versions: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str], ...]
    seconds: float | None
    limits: tuple[str, ...]
    glossary: tuple[tuple[str, str], ...]
