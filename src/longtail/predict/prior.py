"""The class prior expected in use, as a person gives it."""

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.csv_text import parse_csv
from longtail.records import parse_json
from longtail.text_file import read_text, refuse_no_text
from longtail.types import InputError

Prior = str | Path | Mapping[str, float]
FORM = "a CSV file with the columns class and weight, or a JSON object of class: weight"


def class_mix(prior: Any, classes: Sequence[str], counts: Int[Tensor, " c"]) -> Float[Tensor, " c"]:
    """The share of each class that somebody expects.

    Args:
        prior: "uniform"; "train", the shares in training; a CSV file `class,weight`; a JSON file with an object of
            class: weight; or such an object itself, or a pandas Series of weights by class.
        classes: C names.
        counts: (C,) training images of each class.

    Returns:
        (C,) float64 shares that sum to 1.

    Raises:
        InputError: it is none of these, the file cannot be read, its names are not the model's, or a weight is no
            number >= 0.
    """
    if isinstance(prior, pd.Series):
        prior = {str(name): weight for name, weight in prior.to_dict().items()}
    if not isinstance(prior, str | Path | Mapping):
        raise InputError(
            f"a prior of type {type(prior).__name__} is given; give uniform, train, {FORM}, or such an object itself"
        )
    if prior == "uniform":
        weights = torch.ones(len(classes), dtype=torch.float64)
    elif prior == "train":
        weights = counts.double()
    else:
        given, place = (
            (prior, "the prior") if isinstance(prior, Mapping) else (_read(Path(prior)), str(prior))
        )
        _check_names(given, classes, place)
        weights = torch.tensor([_weight(given[name], name, place) for name in classes], dtype=torch.float64)
        if not weights.any():
            raise InputError(f"{place} gives every class the weight 0; give one class at least a share")
    weights = weights / weights.max()  # so that no sum overflows
    return weights / weights.sum()


def prior_name(prior: Prior) -> str:
    """What results with that prior are called: uniform, train, the name of the file, given."""
    return Path(prior).stem if isinstance(prior, str | Path) else "given"


def _read(file: Path) -> dict[str, object]:
    """Class -> weight, as written."""
    if not file.is_file():
        raise InputError(f"prior {str(file)!r} is neither uniform nor train nor a file; give one, or {FORM}")
    try:
        text = read_text(file)
        refuse_no_text(text, str(file))
        pairs = _json_pairs(text, file) if file.suffix.lower() == ".json" else _csv_pairs(file, text)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"cannot read the prior {file} ({error}); give {FORM}") from None
    twice = sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    if twice:
        raise InputError(f"{file} has the class {twice[0]!r} twice; give each class one weight")
    return dict(pairs)


def _json_pairs(text: str, file: Path) -> list[tuple[str, object]]:
    found = parse_json(text, str(file), f"give {FORM}")
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return list(found.items())


def _csv_pairs(file: Path, text: str) -> list[tuple[str, object]]:
    columns = parse_csv(text, file, (("class",), ("weight",))).columns
    if not {"class", "weight"} <= columns.keys():
        raise ValueError(f"its columns are {', '.join(columns) or 'none'}")
    return list(zip(columns["class"], columns["weight"], strict=True))


def _check_names(given: Mapping[str, object], classes: Sequence[str], place: str) -> None:
    known = set(classes)
    unknown = [name for name in given if name not in known]
    missing = [name for name in classes if name not in given]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), classes, 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the classes are {_some(classes)}"
        raise InputError(f"{place} has the class {unknown[0]!r}, which the model does not know; {hint}")
    if missing:
        raise InputError(
            f"{place} lacks {_some(missing)}; give each class a weight, 0 for one that never comes"
        )


def _some(names: Sequence[str], shown: int = 10) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _weight(value: object, name: str, place: str) -> float:
    try:
        weight = math.nan if isinstance(value, bool | None) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise InputError(f"{place} gives {name!r} the weight {value!r}; weights are numbers of 0 or more")
    return weight
