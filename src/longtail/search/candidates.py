"""Candidate settings of a search: one change each of the suggested settings, none that the user set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.recipe import Recipe

TAU = "method.tau"


@dataclass(frozen=True)
class Candidate:
    """A change of the suggested settings.

    Attributes:
        name: for people.
        factor: what it changes; of each factor one change is taken at most.
        settings: "section.key" -> value.
        is_costly: whether its steps take longer than those of the suggestion.
        adjusted: strengths of the logit adjustment that are judged of one training; empty: as it is.
    """

    name: str
    factor: str
    settings: Mapping[str, Any]
    is_costly: bool = False
    adjusted: tuple[float, ...] = ()


def candidates(recipe: Recipe, given: Mapping[str, Any], tau: float | None = None) -> Iterator[Candidate]:
    """What to try, the most promising first.

    Args:
        recipe: the suggested settings.
        given: what was asked for, which is not changed.
        tau: the strength of the class counts that is best on features.
    """
    m, o = recipe.model, recipe.optim
    if not _settled(given, "method.") and recipe.method.name == "balanced_softmax":
        settings = {"method.name": "logit_adjustment"}
        yield Candidate("cross-entropy", "method", settings, adjusted=(0.0, 0.5, 1.0))
        if tau not in (None, 0.0, 1.0):
            name = f"balanced softmax with tau {tau:g}, the strength that was best on features"
            yield Candidate(name, "method", {"method.tau": tau})
    if "optim.peak_lr" not in given:
        for factor, word in ((2.0, "double"), (0.5, "half")):
            rate = float(f"{o.peak_lr * factor:.3g}")
            start = float(f"{o.warmup_start_lr * factor:.3g}")
            rates = {"optim.peak_lr": rate, "optim.warmup_start_lr": start}
            yield Candidate(f"{word} the rate ({rate:g})", "rate", rates)
    if not _settled(given, "model.num_experts") and m.num_experts == 1:
        yield Candidate("three experts", "experts", {"model.num_experts": 3}, is_costly=True)


def _settled(given: Mapping[str, Any], start: str) -> bool:
    return any(key.startswith(start) for key in given)
