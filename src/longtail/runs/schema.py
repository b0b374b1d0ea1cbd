"""The form of a run folder's JSON files, checked where they are read; `longtail.records` refuses what does not fit."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel, field_validator, model_validator

from longtail.records import Record, short, unique
from longtail.runs.audit_schema import AuditRecord as AuditRecord
from longtail.runs.audit_schema import Count, Fraction, LeftOutEntry, Repaired, Unread

Positive = Annotated[float, Field(gt=0)]
Group = Literal["many", "medium", "few"]


class StoredData(Record):
    name: str
    path: str | None = None
    root: str | None = None
    image_size: Annotated[int, Field(ge=1)] | None = None
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    many_above: Count = 100
    few_below: Count = 20


class StoredModel(Record):
    name: str
    num_experts: Annotated[int, Field(ge=1, le=64)]


class StoredMethod(Record):
    name: str


class StoredRun(Record):
    seed: Count = 0


class StoredRecipe(Record):
    """What recipe.toml says of any version: the keys that a reader needs who does not train."""

    data: StoredData
    model: StoredModel
    method: StoredMethod
    run: StoredRun = StoredRun()


class Status(Record):
    """status.json: how far a run is, in finished epochs, and the version of its folder's form."""

    status: Literal["running", "done", "failed", "interrupted"]
    epoch: Count
    epochs: Annotated[Count, Field(ge=1)]
    format_version: Annotated[Count, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _is_possible(self) -> "Status":
        if self.epoch > self.epochs or (self.status == "done" and self.epoch < self.epochs):
            raise ValueError(f"{self.status} with {self.epoch:,} of {self.epochs:,} epochs finished")
        return self


class ClassRow(Record):
    """A class: its place in the model's outputs, its training images and its group."""

    name: str
    index: Count
    count: Count
    group: Group


class ClassRows(RootModel[list[ClassRow]]):
    """classes.json: every class once, in the order of the model's outputs."""

    model_config = ConfigDict(strict=True, frozen=True)

    @model_validator(mode="after")
    def _is_complete(self) -> "ClassRows":
        if not self.root:
            raise ValueError("it lists no class")
        unique((row.name for row in self.root), "class")
        wrong = next((place for place, row in enumerate(self.root) if row.index != place), None)
        if wrong is not None:
            raise ValueError(f"[{wrong}].index should be {wrong}, not {self.root[wrong].index}")
        return self


class Environment(Record):
    """env.json: the machine that a run began on, and what its training images are known by."""

    index_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    versions: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    device_name: str | None = None
    cpu_count: Count | None = None
    threads: Count | None = None
    processes: Count | None = None
    system: str | None = None


class Means(Record):
    """Accuracies: of all images, of the mean class, and of the mean class of each group."""

    overall: Fraction | None
    macro: Fraction | None
    many: Fraction | None
    medium: Fraction | None
    few: Fraction | None


class WorstClass(Record):
    name: str
    index: Count
    recall: Fraction


class Scores(Means):
    """What an evaluation counts, see `longtail.metrics.to_metrics`."""

    num_images: Count
    experts: Annotated[list[Means], Field(min_length=1)]
    ece: Fraction | None
    nll: Annotated[float, Field(ge=0)] | None
    not_tested: list[str]
    geometric_mean: Fraction | None = None
    worst_class: WorstClass | None = None


class Metrics(Scores):
    """eval/<split>/metrics.json."""

    epoch: Count
    split: str | None = None
    unknown_classes: dict[str, Count] = Field(default_factory=dict)
    unreadable: list[Unread] = Field(default_factory=list)
    repaired: list[Repaired] = Field(default_factory=list)
    left_out: list[LeftOutEntry] = Field(default_factory=list)
    temperature: Positive | None = None
    temperature_from: str | None = None
    ece_calibrated: Fraction | None = None
    nll_calibrated: Annotated[float, Field(ge=0)] | None = None
    data: str | None = None
    trained_on: Count | None = None
    prior: dict[str, Annotated[float, Field(ge=0)]] | None = None
    views: Count = 1


class WeightsRecord(Record):
    """weights/model.json, as far as a report reads it."""

    epoch: Count
    temperature: Positive = 1.0


class EpochRecord(Record):
    """A line of log.jsonl: a finished epoch, counted from 0."""

    epoch: Count
    stage: str
    loss: dict[str, float]
    lr: Annotated[float, Field(ge=0)]
    train_accuracy: Fraction
    stage_epoch: Count | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    train_seconds: Annotated[float, Field(ge=0)] | None = None
    val: Scores | None = None
    test: Scores | None = None
    gradient_share: list[Fraction] | None = None
    expert_kl: list[Annotated[float, Field(ge=-1e-9)] | None] | None = None


class Trial(Record):
    """Settings that a search tried.

    Attributes:
        name: what they change of the suggested settings, in words.
        settings: "section.key" -> value.
        how: how they were trained, in words.
        macro: mean recall on the held-out images, in [0, 1].
        low: lower end of its 95 % interval.
        high: upper end.
        gain: macro less that of the suggested settings on the same images; None for these themselves.
        gain_low: lower end of its 95 % interval.
        gain_high: upper end.
        seconds: that it took.
        chosen: whether the run has them.
        verdict: what the difference says: suggested, better, tie or worse.
    """

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    how: str
    macro: float
    low: float
    high: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    seconds: float
    chosen: bool
    verdict: str


class SearchRecord(Record):
    """search.json: how the settings of a run were found."""

    minutes: float
    seconds: float
    speed: str
    images: int
    trials: list[Trial]
    heads: list[Trial] = Field(default_factory=list)
    head_images: int = 0
    reasons: list[str]
    no_time_for: list[str] = Field(default_factory=list)
    asked: dict[str, Any] = Field(default_factory=dict)


class ExplainedImage(Record):
    """An image and the files of its maps, one for each expert."""

    actual: str = Field(alias="class")
    label: str
    confidence: Fraction
    experts: Annotated[list[str], Field(min_length=1)]
    shown: str
    image: str
    maps: list[str]

    @model_validator(mode="after")
    def _has_a_map_for_each(self) -> "ExplainedImage":
        if len(self.maps) != len(self.experts):
            raise ValueError(f"{len(self.maps)} maps of {len(self.experts)} experts")
        return self


class Explanations(Record):
    """explain/explain.json, as `longtail.explain` writes it."""

    rule: str
    layer: str = ""
    images: list[ExplainedImage]


class Summary(Record):
    """What summary.json says of the runs of several seeds that were started."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: list[int]) -> list[int]:
        unique(map(str, seeds), "seed")
        return seeds


def check_epochs(records: Sequence[EpochRecord], epochs: int) -> None:
    """Refuse epochs that are missing, out of order or too many.

    Raises:
        ValueError: see above; the message says which.
    """
    wrong = next((place for place, record in enumerate(records) if record.epoch != place), None)
    if wrong is not None:
        raise ValueError(f"epoch {records[wrong].epoch} stands in the place of epoch {wrong}")
    if len(records) > epochs:
        raise ValueError(f"{len(records):,} epochs of {epochs:,}")


def check_names(found: Metrics | Scores, classes: Sequence[str]) -> None:
    """Refuse scores of other classes.

    Raises:
        ValueError: they name a class that the run does not have.
    """
    known = set(classes)
    named = [*found.not_tested, *([] if found.worst_class is None else [found.worst_class.name])]
    foreign = next((name for name in named if name not in known), None)
    if foreign is not None:
        raise ValueError(f"the run has no class {short(foreign)}")


def plain(record: Record) -> dict[str, Any]:
    """A record as the dictionary that it was read from."""
    return record.model_dump(exclude_unset=True)
