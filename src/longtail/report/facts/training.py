"""The log as curves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: `epochs` count from 1; `kind` is "loss", "score" or "rate"."""

    name: str
    kind: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """Did training go well? `scores_on` names the split behind the score curves, "" if there are none.

    `stages` holds the name, first and last finished epoch of each stage; `edges` the epochs after which one ended.
    """

    series: tuple[Series, ...]
    scores_on: str
    stages: tuple[tuple[str, int, int], ...]
    edges: tuple[int, ...]
    epochs: int
