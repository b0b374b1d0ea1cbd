"""What each section of the report states, as plain values: the page and the terminal only lay them out.

Accuracies and shares are fractions in [0, 1]; None stands where there is nothing to say. Class names are text as the
data spells them; image ids are those of predictions.parquet.
"""

from dataclasses import dataclass
from typing import Literal

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Head:
    """What was run, and what a reader has to know before believing any number.

    Attributes:
        title: method, model, experts and data in a line.
        data, method, model: their names.
        experts, num_classes: how many.
        training_images: images trained on; None if unknown.
        split: what the scores are about: "test", "val", or None where nothing was evaluated.
        part: the split in words: "test", "validation" or "".
        num_images: images evaluated.
        epoch, epochs: epochs behind the evaluated weights, and of the whole run.
        epoch_rule: how the epoch was chosen, in a sentence.
        status: "done", "running", "failed" or "interrupted".
        notices: sentences that qualify everything below them.
    """

    title: str
    data: str
    method: str
    model: str
    experts: int
    num_classes: int
    training_images: int | None
    split: str | None
    part: str
    num_images: int
    epoch: int
    epochs: int
    epoch_rule: str
    status: str
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score, named overall, macro, many, medium or few.

    Attributes:
        name: which.
        value: None where nothing was tested.
        interval: None too where the evaluated images are not in the folder.
        classes: with images behind the value; all where that is not known.
        images: None where that is not known.
    """

    name: str
    value: float | None
    interval: Interval | None
    classes: int
    images: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is it any good, and for whom? `sentences` holds only those that hold; `rows` is empty without an evaluation."""

    rows: tuple[ScoreRow, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class as tested.

    Attributes:
        name, index, group: who it is; group is "many", "medium" or "few".
        train_images, test_images, correct: counts.
        certainty: "not tested" (no test image), "too few" (1-9: only "2 of 3" is shown), "rough" (10-29) or "".
        recall, interval: of the class, at least one test image.
        precision: right among its predictions; None if it is never predicted.
        predicted: images predicted as this class.
        mistaken_for, mistaken_images: the wrong class predicted most often, None and 0 if there is none.
        confidence: mean confidence on its test images.
        standing: "weak" or "strong" where clearly outside what luck explains in its group, else "".
        sources: patients, cameras or bursts its test images come from; None where none are known.
        note: "from only 2 sources" where that says how little is known, else "".
    """

    name: str
    index: int
    group: str
    train_images: int
    test_images: int
    correct: int
    certainty: Literal["not tested", "too few", "rough", ""]
    recall: float | None
    interval: Interval | None
    precision: float | None
    predicted: int
    mistaken_for: str | None
    mistaken_images: int
    confidence: float | None
    standing: Literal["weak", "strong", ""]
    sources: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Classes:
    """How is my class? Ranked: worst first, then those with too few test images, then those not tested.

    Attributes:
        rows: every class.
        macro: the mean recall, for a tick.
        weakest, strongest: names of the clearly weak and strong, most extreme first.
        never_predicted: names of classes that were tested and never predicted.
        too_few, not_tested: names.
        differ: whether classes of a group differ more than luck makes them; None where that cannot be said.
        luck_at_zero: how many of the tested classes luck alone would leave without a correct image.
        typical_images: median test images of the tested classes.
    """

    rows: tuple[ClassRow, ...]
    macro: float | None
    weakest: tuple[str, ...]
    strongest: tuple[str, ...]
    never_predicted: tuple[str, ...]
    too_few: tuple[str, ...]
    not_tested: tuple[str, ...]
    differ: bool | None
    luck_at_zero: float
    typical_images: float


@dataclass(frozen=True, slots=True)
class BandPoint:
    """Quartiles of recall among the classes around one size."""

    train_images: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class SizeBin:
    """A cell of recall against class size, for many classes: edges, and the classes in it."""

    images: Interval
    recall: Interval
    classes: int


@dataclass(frozen=True, slots=True)
class SizeDecile:
    """Classes of similar size, where each has too few test images for a recall: shares that add to 1.

    Attributes:
        train_images: fewest and most training images.
        classes: how many.
        none, up_to_half, over_half, all_right: share of the classes by how many of their images are right.
    """

    train_images: tuple[int, int]
    classes: int
    none: float
    up_to_half: float
    over_half: float
    all_right: float


@dataclass(frozen=True, slots=True)
class ClassSize:
    """Does it fail on rare classes? The points are the tested rows of `Classes`.

    Attributes:
        form: "named" (up to 30 classes), "dots" (up to 500), "bins", or "shares" (a median below 10 test images).
        points: tested classes, in order of training images; empty where bins or shares are shown.
        named: names to write beside their points.
        band: running quartiles over class size; empty for fewer than 10 classes.
        edges: training images at which groups meet, within the range of the data.
        bins, deciles: for the forms "bins" and "shares".
    """

    form: Literal["named", "dots", "bins", "shares"]
    points: tuple[ClassRow, ...]
    named: tuple[str, ...]
    band: tuple[BandPoint, ...]
    edges: tuple[float, ...]
    bins: tuple[SizeBin, ...]
    deciles: tuple[SizeDecile, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One evaluated image."""

    path: str
    name: str
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A class taken for another.

    Attributes:
        name, label: true class and predicted class.
        count: images.
        share: of the true class's test images; None where these are too few for a per cent.
        test_images: of the true class.
        reverse: images taken the other way.
        both_ways: whether the reverse count is at least half of this one.
        wrong: up to three of the images, surest mistake first.
        right, label_right: a correctly named image of each class, None if there is none.
    """

    name: str
    label: str
    count: int
    share: float | None
    test_images: int
    reverse: int
    both_ways: bool
    wrong: tuple[Prediction, ...]
    right: Prediction | None
    label_right: Prediction | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Confusions for up to 150 classes, rows true, columns predicted, both in the order of `names`.

    `errors_only` (from 21 classes on) says that the diagonal is 0 and the order puts confused classes together.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    test_images: tuple[int, ...]
    errors_only: bool


@dataclass(frozen=True, slots=True)
class Sink:
    """A class that swallows errors: how many, their share of all errors, and from how many classes."""

    name: str
    errors: int
    share: float
    classes: int


@dataclass(frozen=True, slots=True)
class Confusions:
    """What is taken for what?

    Attributes:
        groups: image counts by true (row) and predicted (column) group, in the order many, medium, few.
        errors: how many.
        pairs: at most 20, at least 2 images each.
        matrix: None above 150 classes.
        sinks: at most 5.
        listed: the errors it is surest of, at most 20.
    """

    groups: tuple[tuple[int, int, int], ...]
    errors: int
    pairs: tuple[Pair, ...]
    matrix: Matrix | None
    sinks: tuple[Sink, ...]
    listed: tuple[Prediction, ...]
