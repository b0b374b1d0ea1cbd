"""The scores of runs over several seeds, for the terminal."""

from longtail.report.text import percent
from longtail.runs.run import SCORES
from longtail.runs.seeds import SeedRuns
from longtail.text_table import table_lines


def summary_lines(runs: SeedRuns) -> list[str]:
    """A row of scores for each seed, and their mean and standard deviation."""
    parent, summary = runs.path, runs.summary
    scores = summary["scores"]
    if scores is None:
        return [f"{parent}: nothing to evaluate on"]
    rows = [
        [f"seed {seed}", *(percent(scores[key]["values"][number]) for key in SCORES)]
        for number, seed in enumerate(summary["seeds"])
    ]
    rows += [[name, *(percent(scores[key][name]) for key in SCORES)] for name in ("mean", "sd")]
    head = (
        f"{parent}: {len(summary['seeds'])} seeds, {summary['num_images']:,} {summary['split']} images each"
    )
    return [head, "", *table_lines(("accuracy, %", *SCORES), rows)]
