"""The table of a study: scores over the seeds, the difference to a row, what it cost, what was published."""

import shlex
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from longtail.metrics.pairs import macro_weights, paired_gain_of_runs
from longtail.study.result import SCORES, Images, Result, SeedResult


@dataclass(frozen=True)
class Gain:
    """Macro accuracy of a row minus that of another, paired over seeds and test images.

    Attributes:
        value, low, high: the difference, and its 95 % interval.
        seeds: how many both rows have.
    """

    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        key: of the row, its title where it has none.
        title: what the table calls it.
        seeds: seed -> what its run scored.
        published: top-1 accuracy in per cent.
        parameters: of the network.
        commands: what repeats it.
        machine: see `Result`, of the first seed.
    """

    key: str
    title: str
    seeds: dict[str, SeedResult]
    published: float | None
    parameters: int | None
    commands: tuple[str, ...]
    machine: dict[str, object]

    def values(self, score: str) -> list[float | None]:
        """One score of all seeds."""
        return [getattr(seed.metrics, score) for seed in self.seeds.values()]

    @property
    def seconds(self) -> float:
        """Of a seed, on average."""
        return statistics.fmean(seed.seconds for seed in self.seeds.values())


def rows_of(results: Iterable[Result]) -> list[Row]:
    """The rows of results, in the order in which they come; the seeds of one row are put together."""
    groups: dict[tuple[str | None, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.key, result.row), []).append(result)
    return [_row(group) for group in groups.values()]


def _row(group: Sequence[Result]) -> Row:
    first = group[0]
    seeds = {seed: found for result in group for seed, found in result.seeds.items()}
    ordered = dict(sorted(seeds.items(), key=lambda item: int(item[0])))
    commands = joined_commands([result.command for result in group])
    return Row(
        first.key or first.row, first.row, ordered, first.paper, first.parameters, commands, first.machine
    )


def joined_commands(commands: Iterable[str]) -> tuple[str, ...]:
    """Commands that differ in their last word, the seed, as one with all seeds.

    >>> joined_commands(["longtail bench s --only a --seeds 0", "longtail bench s --only a --seeds 2"])
    ('longtail bench s --only a --seeds 0,2',)
    """
    seeds: dict[str, list[str]] = {}
    for command in commands:
        before, separator, last = command.rpartition(" --seeds ")
        if separator and last.isdecimal() and shlex.split(command)[1:2] == ["bench"]:
            seeds.setdefault(f"{before} --seeds ", []).append(last)
        else:
            seeds.setdefault(command, [])
    return tuple(before + ",".join(sorted(set(found), key=int)) for before, found in seeds.items())


def gain(row: Row, other: Row) -> Gain | str:
    """The difference of two rows, or why there is none."""
    pairs = [(row.seeds[seed].images, other.seeds[seed].images) for seed in row.seeds if seed in other.seeds]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        return "no seed in common" if not pairs else "images not kept"
    first = known[0][0]
    if any(image.hash != first.hash for pair in known for image in pair):
        return "other test images"
    right, others = (np.stack([pair[side].flags for pair in known]) for side in (0, 1))
    value, low, high = paired_gain_of_runs(right, others, _weights(first))
    return Gain(value, low, high, len(known))


def _weights(images: Images) -> np.ndarray:
    return macro_weights(images.target, np.ones(len(images.counts), dtype=bool))


def spread(values: Sequence[float | None]) -> tuple[float, float | None] | None:
    """Mean and standard deviation between seeds (n - 1; None for one); None where a value is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None


def percent(values: Sequence[float | None]) -> str:
    """Mean and standard deviation in per cent; a single value alone.

    >>> percent([0.5]), percent([0.5, 0.6]), percent([None])
    ('50.0', '55.0 ± 7.1', '-')
    """
    found = spread(values)
    if found is None:
        return "-"
    mean, sd = found
    return f"{100 * mean:.1f}" if sd is None else f"{100 * mean:.1f} ± {100 * sd:.1f}"


def gain_text(found: Gain | str) -> str:
    """A difference and its interval in per cent; a dash where there is none."""
    if isinstance(found, str):
        return "-"
    return f"{100 * found.value:+.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def plain_cells(row: Row) -> list[str]:
    """A row without what older results do not have."""
    paper = "-" if row.published is None else f"{row.published:.1f}"
    return [row.title, *(percent(row.values(score)) for score in SCORES), paper, str(len(row.seeds))]
