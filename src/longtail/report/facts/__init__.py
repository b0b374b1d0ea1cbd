"""The statistics behind the report: `collect` computes them from a run folder's files alone."""

from dataclasses import dataclass

from longtail.report.facts.run_sections import (
    Agreement,
    Answered,
    Confidence,
    Data,
    Duplicate,
    ExpertRow,
    Experts,
    Gain,
    LeakingGroup,
    RankedCount,
    Reliability,
    ReliabilityBin,
    Repeat,
    RiskLine,
    Series,
    Step,
    Training,
)
from longtail.report.facts.sections import (
    BandPoint,
    Classes,
    ClassRow,
    ClassSize,
    Confusions,
    Head,
    Matrix,
    Pair,
    Prediction,
    ScoreRow,
    Sink,
    SizeBin,
    SizeDecile,
    Verdict,
)
from longtail.report.run import Run

__all__ = [
    "Agreement", "Answered", "BandPoint", "ClassRow", "ClassSize", "Classes", "Confidence", "Confusions", "Data",
    "Duplicate", "ExpertRow", "Experts", "Facts", "Gain", "Head", "LeakingGroup", "Matrix", "Pair", "Prediction",
    "RankedCount", "Reliability", "ReliabilityBin", "Repeat", "RiskLine", "ScoreRow", "Series", "Sink", "SizeBin",
    "SizeDecile", "Step", "Training", "Verdict", "collect",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the report states, in the order in which it is read.

    The sections that need an evaluation are None without one: class_size, classes, confusions, confidence, experts.
    experts is also None for a single expert.
    """

    head: Head
    verdict: Verdict
    class_size: ClassSize | None
    classes: Classes | None
    confusions: Confusions | None
    confidence: Confidence | None
    experts: Experts | None
    training: Training
    data: Data
    next: tuple[Step, ...]
    repeat: Repeat


def collect(run: Run) -> Facts:
    """Compute the facts of a run.

    Args:
        run: its folder, finished or not, evaluated or not.

    Raises:
        InputError: a file of the folder is damaged.
    """
    raise NotImplementedError
