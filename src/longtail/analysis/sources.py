"""The runs that a figure is made of: their short names, what they hold, and what to do where that is missing."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from longtail.report.facts.evaluation import Evaluation, read_evaluation
from longtail.runs import Run, layout
from longtail.types import InputError

Runs = Mapping[str, Run]
"""Short name -> run, in the order given."""


def named_runs(paths: Sequence[str | Path]) -> dict[str, Run]:
    """Run folders by the last parts of their paths, as many as tell them apart; of a study's run also its row.

    Raises:
        InputError: one is no run folder, or is given twice.
    """
    runs = [Run(path) for path in paths]
    parts = [run.path.resolve().parts for run in runs]
    if twice := next((run for run, own in zip(runs, parts, strict=True) if parts.count(own) > 1), None):
        raise InputError(f"{twice.path} is given twice; give each run once")
    names = distinct_names(parts)
    if len(runs) == 1 and re.fullmatch(layout.seed_folder(r"\d+"), names[0]):
        names = ["/".join(parts[0][-2:])]
    return dict(zip(names, runs, strict=True))


def distinct_names(parts: Sequence[tuple[str, ...]]) -> list[str]:
    """The last parts of different paths, as few as tell all of them apart.

    >>> distinct_names([("a", "seed-0"), ("b", "seed-0")]), distinct_names([("runs", "a"), ("runs", "b")])
    (['a/seed-0', 'b/seed-0'], ['a', 'b'])
    """
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return ["/".join(own) for own in parts]


def need_experts(run: Run) -> int:
    """How many experts a run has, at least two.

    Raises:
        InputError: it has one.
    """
    experts = int(run.recipe["model"]["num_experts"])
    if experts < 2:
        raise InputError(
            f"{run.path} has a single expert, and this figure compares experts; give a run of two or more"
        )
    return experts


def probing(run: Run, probe: str) -> str:
    """The command that trains a run again with a probe."""
    recipe = shlex.quote(str(run.path / layout.RECIPE))
    return f"longtail train {recipe} --set 'run.probes=[\"{probe}\"]'"


def evaluation_of(run: Run) -> Evaluation:
    """The newest evaluation of a run, image by image.

    Raises:
        InputError: there is none, or a file of it is damaged.
    """
    found = read_evaluation(run)
    if found is None:
        raise InputError(
            f"{run.path} has no predictions of evaluated images; make them with: "
            f"longtail evaluate {shlex.quote(str(run.path))}"
        )
    return found
