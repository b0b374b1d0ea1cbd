"""Runs of one recipe over several seeds: mean and standard deviation of their scores."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longtail.engine.run_folder import RunFolder
from longtail.report.run import Run
from longtail.report.text import SCORES, percent, table_lines
from longtail.types import InputError

FILE = "summary.json"


def folder_of(parent: Path, seed: int) -> Path:
    """The run folder of a seed."""
    return parent / f"seed-{seed}"


def planned_seeds(parent: Path) -> list[int] | None:
    """The seeds that a folder's runs were started with; None where it holds no such runs.

    Raises:
        InputError: its summary is damaged.
    """
    file = parent / FILE
    if not file.is_file():
        return None
    try:
        return [int(seed) for seed in json.loads(file.read_text("utf-8"))["seeds"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged ({error}); repeat the original command with --resume") from None


def write_plan(parent: Path, seeds: Sequence[int]) -> None:
    """Write down which seeds are to be run, so that the folder alone is enough to go on."""
    RunFolder(parent).write_json(FILE, {"seeds": list(seeds), "scores": None})


def summarise(parent: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Scores over the finished runs, written to summary.json.

    Returns:
        seeds; split and num_images, of what was evaluated; scores: for each of overall, macro, many, medium, few, nll,
        ece its mean, its standard deviation between seeds (n - 1; None for one seed) and its values. Accuracies are
        fractions; None where there is nothing to say.
    """
    runs = [Run(folder_of(parent, seed)) for seed in seeds]
    found = [run.metrics for run in runs]
    scored = [metrics for metrics in found if metrics is not None]
    scores = {key: _spread([metrics[key] for metrics in scored]) for key in (*SCORES, "nll", "ece")}
    summary = {
        "seeds": list(seeds),
        "split": runs[0].split,
        "num_images": scored[0]["num_images"] if scored else None,
        "scores": scores if scored else None,
    }
    RunFolder(parent).write_json(FILE, summary)
    return summary


def _spread(values: list[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "sd": None, "values": values}
    sd = statistics.stdev(known) if len(known) > 1 else None
    return {"mean": statistics.fmean(known), "sd": sd, "values": values}


def summary_lines(parent: Path, summary: dict[str, Any]) -> list[str]:
    """A row of scores for each seed, and their mean and standard deviation."""
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
