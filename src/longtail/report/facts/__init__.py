"""The statistics behind the report: `collect` computes them from a run folder's files alone."""

from dataclasses import dataclass

from longtail.report.facts.class_rows import class_rows
from longtail.report.facts.class_size import class_size
from longtail.report.facts.confidence import confidence
from longtail.report.facts.confusions import confusions
from longtail.report.facts.data import data
from longtail.report.facts.evaluation import read_evaluation
from longtail.report.facts.experts import experts
from longtail.report.facts.head import head
from longtail.report.facts.next_steps import next_steps, unseen_steps
from longtail.report.facts.repeat import repeat
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
from longtail.report.facts.training import training
from longtail.report.facts.verdict import unseen_verdict, verdict
from longtail.runs.run import Run

__all__ = [
    "Agreement", "Answered", "BandPoint", "ClassRow", "ClassSize", "Classes", "Confidence", "Confusions", "Data",
    "Duplicate", "ExpertRow", "Experts", "Facts", "Gain", "Head", "LeakingGroup", "Matrix", "Pair", "Prediction",
    "RankedCount", "Reliability", "ReliabilityBin", "Repeat", "RiskLine", "ScoreRow", "Series", "Sink", "SizeBin",
    "SizeDecile", "Step", "Training", "Verdict", "class_rows", "collect", "read_evaluation", "verdict",
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
    found, e = data(run), read_evaluation(run)
    top, curves, again = head(run, found), training(run), repeat(run, e)
    if e is None:
        nothing = (None,) * 5
        return Facts(top, unseen_verdict(run), *nothing, curves, found, unseen_steps(run, found), again)
    ranked, mixed, sure, every = class_rows(e), confusions(e), confidence(run, e), experts(run, e)
    return Facts(
        head=top,
        verdict=verdict(run, e, ranked),
        class_size=class_size(run, e, ranked),
        classes=ranked,
        confusions=mixed,
        confidence=sure,
        experts=every,
        training=curves,
        data=found,
        next=next_steps(run, e, ranked, mixed, sure, every, found),
        repeat=again,
    )
