"""The form of a run folder's JSON files, checked where they are read; `longtail.records` refuses what does not fit."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel, model_validator

from longtail.choices import Bits, Fit
from longtail.records import Record, short, unique

Count = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
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


class Unread(Record):
    """An image that could not be read."""

    path: str
    reason: str


class Repaired(Record):
    """An image that is damaged beside its pixels, and what of it was ignored."""

    path: str
    ignored: str


class LeftOutEntry(Record):
    """See `longtail.data.left_out.LeftOut`."""

    reason: str
    count: Annotated[Count, Field(ge=1)]
    examples: list[str]
    is_problem: bool
    noun: str


class FilesEntry(Record):
    """See `longtail.data.left_out.FileCounts`."""

    seen: Count
    used: Count
    unreadable: Count
    unknown_classes: Count
    not_drawn: Count
    left_out: Count


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


class DuplicateEntry(Record):
    """See `longtail.data.copies.Duplicates`; `leak` and `conflict` are two paths, and absent in older runs."""

    kind: Literal["exact", "near"]
    paths: list[str]
    splits: list[str]
    classes: list[str]
    leak: tuple[str, str] | None = Field(default=None, strict=False)
    conflict: tuple[str, str] | None = Field(default=None, strict=False)


class LeakingGroupEntry(Record):
    """See `longtail.data.audit.findings.LeakingGroup`."""

    group: str
    splits: list[str]
    images: Count


class ShapesEntry(Record):
    """See `longtail.data.shapes.Shapes`; `suggested` is what suits them."""

    images: Count
    short_side: Count
    narrow: Annotated[float, Field(gt=0)]
    wide: Annotated[float, Field(gt=0)]
    hidden: Fraction
    usually_hidden: Fraction
    most_hidden: Fraction
    example: str
    suggested: Fit


class AuditRecord(Record):
    """audit.json: what is known of the images before training."""

    counts: dict[str, dict[str, Count]] = Field(default_factory=dict)
    unreadable: list[Unread] = Field(default_factory=list)
    repaired: list[Repaired] = Field(default_factory=list)
    suspicious: list[Unread] = Field(default_factory=list)
    duplicates: list[DuplicateEntry] = Field(default_factory=list)
    leaking_groups: list[LeakingGroupEntry] = Field(default_factory=list)
    not_tested: list[str] = Field(default_factory=list)
    single_image: list[str] = Field(default_factory=list)
    too_small: list[str] = Field(default_factory=list)
    unknown_classes: dict[str, Count] = Field(default_factory=dict)
    remarks: list[str] = Field(default_factory=list)
    left_out: list[LeftOutEntry] = Field(default_factory=list)
    files: FilesEntry | None = None
    bits: Bits = 16
    shapes: ShapesEntry | None = None
    checked_near: bool = False


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
        raise ValueError(f"classes.json does not name the class {short(foreign)}")


def plain(record: Record) -> dict[str, Any]:
    """A record as the dictionary that it was read from."""
    return record.model_dump(exclude_unset=True)
