"""Runs of one recipe over several seeds: mean and standard deviation of their scores."""

import statistics
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from longtail.errors import InputError
from longtail.records import read_record
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.run import SCORES, Run


def planned_seeds(parent: Path) -> list[int] | None:
    """The seeds that a folder's runs were started with; None where it holds no such runs.

    Raises:
        InputError: its summary is damaged.
    """
    file = parent / layout.SUMMARY
    if not file.exists():
        return None
    return read_record(file, layout.SUMMARY.form, "repeat the original command with --resume").seeds


class SeedRuns:
    """Runs of one recipe side by side in a folder, one for each seed.

    Attributes:
        path: the folder; it holds `seed-0`, ... and summary.json.
        seeds: the seeds.
        folders: their run folders.
    """

    def __init__(self, path: str | Path, seeds: Sequence[int]) -> None:
        self.path, self.seeds = Path(path), tuple(seeds)
        self.folders = tuple(RunFolder(self.path / layout.seed_folder(seed)) for seed in seeds)

    @property
    def runs(self) -> list[Run]:
        """The runs, finished or not."""
        return [Run(folder.path) for folder in self.folders]

    @property
    def begun(self) -> bool:
        """Whether there is a run that can be resumed."""
        return any((folder.path / layout.RECIPE).is_file() for folder in self.folders)

    @property
    def worth_keeping(self) -> bool:
        """Whether a run has finished an epoch."""
        return any(folder.checkpoint.is_file() for folder in self.folders)

    def write_plan(self) -> None:
        """Write down which seeds are to be run, so that the folder alone is enough to resume."""
        if not (self.path / layout.SUMMARY).is_file():
            RunFolder(self.path).write_json(layout.SUMMARY, {"seeds": list(self.seeds), "scores": None})

    def clear(self) -> None:
        """Remove the runs and the summary, but no run that another process is training."""
        for folder in self.folders:
            if not folder.path.is_dir():
                continue
            try:
                with folder.locked():
                    folder.clear()
            except InputError:
                return
            with suppress(OSError):
                folder.path.rmdir()
        (self.path / layout.SUMMARY).unlink(missing_ok=True)

    @property
    def summary(self) -> dict[str, Any]:
        """Scores over the runs.

        Keys: seeds; split and num_images, of what was evaluated; scores: for each of overall, macro, many, medium, few,
        nll, ece its mean, its standard deviation between seeds (n - 1; None for one seed) and its values. Accuracies
        are fractions; None where there is nothing to say.
        """
        runs = self.runs
        found = [run.metrics for run in runs]
        scored = [metrics for metrics in found if metrics is not None]
        scores = {key: _spread([metrics[key] for metrics in scored]) for key in (*SCORES, "nll", "ece")}
        return {
            "seeds": list(self.seeds),
            "split": runs[0].split,
            "num_images": scored[0]["num_images"] if scored else None,
            "scores": scores if scored else None,
        }

    def summarise(self) -> None:
        """Write the summary to summary.json."""
        RunFolder(self.path).write_json(layout.SUMMARY, self.summary)


def _spread(values: list[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "sd": None, "values": values}
    sd = statistics.stdev(known) if len(known) > 1 else None
    return {"mean": statistics.fmean(known), "sd": sd, "values": values}
