"""Another method in a recipe's place: what of the recipe no longer applies, and what the method asks of it."""

from collections.abc import Mapping
from typing import Any

from longtail.data.dataset import counted
from longtail.method import Method, scaled_epochs
from longtail.methods import find
from longtail.models import ModelOptions
from longtail.types import InputError

DEFAULTS_ARE_FOR = 200  # epochs: so long is a run that a method's own defaults are written for


def switch(sections: dict[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Put the method that `given` names into the recipe's sections; returns what to tell about it.

    The old method's keys are dropped. The new one's windows, whose defaults are for 200 epochs, are scaled to the run;
    keys of [model] that it needs are set. What `given` names itself is left to it.

    Args:
        sections: of the recipe; they change.
        given: "section.key" -> value.
    """
    name, old = given.get("method.name"), sections.get("method", {})
    if name is None or name == old.get("name", name):
        return []
    method, dropped = find(name), [key for key in old if key != "name"]
    notes = []
    if dropped:
        keys = f"{counted(len(dropped), 'key')} of {old['name']} {'does' if len(dropped) == 1 else 'do'} not apply"
        notes.append(f"method {name}: the recipe's {keys}: {', '.join(dropped)}")
    length = given.get("optim.epochs", sections.get("optim", {}).get("epochs", DEFAULTS_ARE_FOR))
    windows = _windows(method, name, length) if isinstance(length, int) and length > 0 else {}
    sections["method"] = {"name": name} | windows
    scaled = [f"{key} {value}" for key, value in windows.items() if f"method.{key}" not in given]
    if scaled:
        notes.append(
            f"method {name}, scaled from {DEFAULTS_ARE_FOR} to {counted(length, 'epoch')}: {', '.join(scaled)}"
        )
    model = sections.setdefault("model", {})
    for key, needed in method.needs.items():
        now = model.get(key, ModelOptions.model_fields[key].default)
        if f"model.{key}" not in given and not _fits(now, needed):
            model[key] = _values(needed)[0]
            notes.append(f"method {name} needs model.{key} = {model[key]}; the recipe's {now} does not apply")
    return notes


def check_needs(method: type[Method], name: str, model: ModelOptions) -> None:
    """Refuse a network that the method cannot work with.

    Raises:
        InputError: a key of [model] has another value than the method needs.
    """
    for key, needed in method.needs.items():
        if not _fits(now := getattr(model, key), needed):
            values = " or ".join(map(str, _values(needed)))
            raise InputError(
                f"method {name} needs model.{key} = {values}, and it is {now}; set it so, or choose another method"
            )


def _windows(method: type[Method], name: str, length: int) -> dict[str, Any]:
    """The options that count epochs and differ from their defaults in a run of this length."""
    options = method.Options(name=name)
    scaled = scaled_epochs(options, DEFAULTS_ARE_FOR, length)
    return {key: value for key, value in scaled.items() if value != getattr(options, key)}


def _fits(value: Any, needed: Any) -> bool:
    return value in _values(needed)


def _values(needed: Any) -> tuple[Any, ...]:
    return needed if isinstance(needed, tuple) else (needed,)
