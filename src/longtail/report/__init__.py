"""What a run has to say, finished or not, read from its folder alone: tables for the terminal, and plots."""

from typing import TYPE_CHECKING

from longtail.report.abstaining import abstaining_lines
from longtail.report.chance import chance_lines
from longtail.report.comparison import comparison_lines
from longtail.report.summary import summary_lines
from longtail.report.text import block_lines, evaluation_lines, result_lines
from longtail.runs import layout
from longtail.runs.run import Run

if TYPE_CHECKING:
    from longtail.report.section import Facts

__all__ = [
    "abstaining_lines",
    "chance_lines",
    "comparison_lines",
    "evaluation_lines",
    "plot",
    "report_lines",
    "result_lines",
    "summary_lines",
    "write_page",
]


def report_lines(run: Run, facts: "Facts | None" = None) -> list[str]:
    """The whole report as lines for a terminal: the scores, and what each section says there.

    Args:
        run: finished or not, evaluated or not.
        facts: those of the run, where they are known already.
    """
    from longtail.report.discovery import collect, sections  # more than other commands need

    facts, lines = facts or collect(run), result_lines(run)
    for name, section in sections().items():
        found = getattr(facts, name)
        if found is not None and section.terminal is not None:
            lines += block_lines(section.terminal(found, facts))
    return lines


def plot(run: Run, facts: "Facts | None" = None) -> list[str]:
    """Draw plots/training.png and plots/per_class.png into the run folder, as far as there is what to draw.

    Args:
        run: finished or not, evaluated or not.
        facts: those of the run, where they are known already.

    Returns:
        The names of the files, relative to the run folder.
    """
    from longtail.report.class_plot import plot_classes  # matplotlib: only where something is drawn
    from longtail.report.discovery import collect
    from longtail.report.training_plot import plot_training

    facts = facts or collect(run)
    return [name for name in (plot_training(run), plot_classes(run, facts.classes)) if name is not None]


def write_page(run: Run, facts: "Facts | None" = None, *, images: str = "all") -> str:
    """Write report.html into the run folder: one file that opens without a network.

    Args:
        run: finished or not, evaluated or not.
        facts: those of the run, where they are known already.
        images: "none", "errors" (those that the model names wrongly) or "all" (right ones beside them).

    Returns:
        The name of the file, relative to the run folder.
    """
    from longtail.report.page import build_page
    from longtail.runs.folder import RunFolder

    RunFolder(run.path).write_text(layout.REPORT, build_page(run, facts, images=images))
    return layout.REPORT
