"""What a run's recipe changes of a shipped one; only for the page, because a recipe's schema needs PyTorch."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from longtail.errors import InputError
from longtail.recipe import Recipe, read_again, shipped
from longtail.runs import layout
from longtail.runs.run import Run
from longtail.source_names import named_sources


class Nearest(NamedTuple):
    """The shipped recipe on the same kind of data with the fewest changes; where the images lie is none.

    Attributes:
        shipped: its name, "" if there is none, or the run's own recipe cannot be read here.
        changes: (key, shipped value, this run's value) against it.
    """

    shipped: str
    changes: tuple[tuple[str, str, str], ...]


def _flat(recipe: Recipe) -> dict[str, Any]:
    sections = recipe.model_dump(mode="json")
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def nearest_recipe(run: Run) -> Nearest:
    """The shipped recipe that the run's own is nearest to."""
    try:
        mine = _flat(read_again(str(run.path / layout.RECIPE)))
    except InputError:  # of another version, or of a method that is not installed here
        return Nearest("", ())
    kind, found = mine["data.name"], []
    for name, theirs in _shipped().items():
        if theirs["data.name"] == kind or not {theirs["data.name"], kind} & set(named_sources()):
            found.append(Nearest(name, tuple(_changes(theirs, mine))))
    return min(found, key=lambda one: len(one.changes), default=Nearest("", ()))


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    """Every shipped recipe, read once a process: there are dozens."""
    return {name: _flat(read_again(name)) for name in shipped()}


def _changes(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    foreign = {"data.path", "data.root"} | (set() if mine["data.name"] in named_sources() else {"data.name"})
    if theirs["method.name"] != mine["method.name"]:
        foreign |= {key for key in theirs if key.startswith("method.") and key not in mine}
    for key in sorted((theirs.keys() | mine.keys()) - foreign):
        if theirs.get(key) != mine.get(key):
            yield key, _as_text(key, theirs.get(key)), _as_text(key, mine.get(key))


def _as_text(key: str, value: Any) -> str:
    """A value without the folders of a machine."""
    if key == "model.weights" and value is not None:
        return Path(value).name
    return "-" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
