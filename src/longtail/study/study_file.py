"""A study's file: which rows are compared, on what data, over which seeds, at which budget."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from longtail.method import MOST_EPOCHS
from longtail.records import decoded, parse_toml, read_bytes, short, unique
from longtail.types import InputError

REMEDY = "give a study.toml or a shipped study"
MOST_BYTES = 2**16
MOST_ROWS = 1000
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=1000)]
_FORM = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def _each_once(seeds: list[int] | None) -> list[int] | None:
    unique(map(str, seeds or ()), "seed")
    return seeds


class StudyRow(BaseModel):
    """One row of the table.

    Attributes:
        title: what the table calls it; default: its key.
        recipe: a shipped recipe or recipe.toml in place of the study's.
        method: `method.name` in place of the recipe's.
        set: further keys of the recipe, "section.key" -> value, in epochs of the recipe.
        published: top-1 accuracy in per cent, as published.
        seeds: in place of the study's.
        prior: evaluate for this class prior, as `longtail evaluate --prior` does.
    """

    model_config = _FORM

    title: str | None = None
    recipe: str | None = None
    method: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    published: Annotated[float, Field(ge=0, le=100)] | None = None
    seeds: Seeds | None = None
    prior: str | None = None

    _seeds_are_different = field_validator("seeds")(_each_once)


class Study(BaseModel):
    """What a study file says, its base merged in and its grid written out.

    Attributes:
        name: of the study: its file's name without the ending.
        title: heading of the table.
        recipe: the recipe that all rows begin with; at an equal budget also what they share.
        data: where the images are (`data.path`), unless the caller says.
        set: further keys of every row's recipe, "section.key" -> value.
        seeds: a run of each row for each of them.
        epochs: length of every run at an equal budget; None takes the recipe's.
        budget: "equal": epochs, batch size, data, augmentation and network are those of `recipe`; "published": each
            row's own recipe decides.
        against: the row that all others are compared with.
        split: the images that decide: "test", or "val" to choose by.
        rows: key -> row, in the order of the table.
    """

    model_config = _FORM

    name: str
    title: str
    recipe: str
    data: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    seeds: Seeds = Field(default_factory=lambda: [0])
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] | None = None
    budget: Literal["equal", "published"] = "equal"
    against: str | None = None
    split: Literal["test", "val"] = "test"
    rows: dict[str, StudyRow] = Field(min_length=1, max_length=MOST_ROWS)

    _seeds_are_different = field_validator("seeds")(_each_once)

    def title_of(self, key: str) -> str:
        """What the table calls a row."""
        return self.rows[key].title or key


def shipped_studies() -> dict[str, str]:
    """The studies that come with the package: name -> text of the file."""
    files = sorted((resources.files("longtail") / "studies").iterdir(), key=lambda file: file.name)
    return {f.name.removesuffix(".toml"): f.read_text("utf-8") for f in files if f.name.endswith(".toml")}


def load_study(target: str) -> Study:
    """A study from the name of a shipped one or the path of a file.

    Raises:
        InputError: there is none, or its first fault: an unknown key (the nearest is named), a value that does not fit,
            a row to compare with that is none.
    """
    text, origin = _text(target)
    sections = _parsed(text, origin)
    if "base" in sections:
        sections = _on_base(sections, origin)
    for place in (sections, *_rows(sections)):
        place["set"] = _flat(place.get("set", {}), origin)
    _expand(sections, origin)
    name = Path(origin).stem if origin.endswith(".toml") else origin
    try:
        study = Study.model_validate({"title": name, **sections, "name": name})
    except ValidationError as error:
        raise InputError(f"{origin}: {_fault(error)}") from None
    _check_names(study, origin)
    return study


def _check_names(study: Study, origin: str) -> None:
    wrong = [key for key in (study.name, *study.rows) if not KEY.fullmatch(key)]
    if wrong:
        raise InputError(
            f"{origin}: {short(wrong[0])} names files and folders; use letters, digits, - and _ for a study and a row"
        )
    if study.against is not None and study.against not in study.rows:
        raise InputError(
            f"{origin}: against = {short(study.against)} is no row; {nearest(study.against, study.rows)}"
        )

    if study.budget == "published" and study.epochs is not None:
        raise InputError(
            f'{origin}: epochs = {study.epochs} does not go with budget = "published", where each recipe has its own; '
            "leave one out"
        )


def nearest(word: str, known: Mapping[str, Any] | list[str], noun: str = "rows") -> str:
    """What to say of a name that is none of the known."""
    near = difflib.get_close_matches(word[:100], list(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"{noun} are {', '.join(known)}"


def _text(target: str) -> tuple[str, str]:
    studies, path = shipped_studies(), Path(target)
    if target in studies:
        return studies[target], target
    if path.suffix == ".toml" and path.is_file():
        return decoded(read_bytes(path, REMEDY, most=MOST_BYTES), target, "save it as UTF-8"), target
    hint = nearest(target, studies, "studies")
    raise InputError(f"no study or study.toml is called {target!r}; {hint}")


def _parsed(text: str, origin: str) -> dict[str, Any]:
    sections = parse_toml(text, origin, "correct it", most=MOST_BYTES)
    if not isinstance(sections.get("rows", {}), dict) or not all(
        isinstance(row, dict) for row in sections.get("rows", {}).values()
    ):
        raise InputError(f"{origin}: rows are tables of their own; write [rows.NAME] and its keys below")
    return sections


def _on_base(sections: dict[str, Any], origin: str) -> dict[str, Any]:
    """The base study with this one's keys written over it: rows and `set` key by key.

    Published figures of the base are not those of another recipe or of other data, and are left out there.
    """
    name, studies = sections.pop("base"), shipped_studies()
    if not isinstance(name, str) or name not in studies:
        raise InputError(
            f"{origin}: base = {short(name)} is not a shipped study; studies are {', '.join(studies)}"
        )
    base = _parsed(studies[name], name)
    if "base" in base:
        raise InputError(f"{origin}: base {name!r} has a base itself; only one level is allowed, so copy it")
    own = _flat(sections.get("set", {}), origin)
    elsewhere = "recipe" in sections or any(key.startswith("data.") for key in own)
    rows = {
        key: {name: value for name, value in row.items() if not (elsewhere and name == "published")}
        for key, row in base.get("rows", {}).items()
    }
    for key, row in sections.get("rows", {}).items():
        both = rows.setdefault(key, {})
        changed = _flat(both.get("set", {}), name) | _flat(row.get("set", {}), origin)
        both.update(row, set=changed)
    return base | sections | {"rows": rows, "set": _flat(base.get("set", {}), name) | own}


def _rows(sections: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return iter(sections.get("rows", {}).values())


def _flat(settings: Any, origin: str) -> dict[str, Any]:
    """Keys of a recipe in one level: "section.key" -> value; both ways of writing them in TOML are taken."""
    if not isinstance(settings, dict):
        raise InputError(f"{origin}: set = {short(settings)} has no keys; write set.section.key = value")
    flat = {}
    for section, value in settings.items():
        if "." in section:
            flat[section] = value
        elif isinstance(value, dict):
            flat |= {f"{section}.{key}": inner for key, inner in value.items()}
        else:
            raise InputError(f"{origin}: set.{section} = {short(value)} has no key; write set.section.key")
    return flat


def _expand(sections: dict[str, Any], origin: str) -> None:
    """Repeat each row for every combination of the values of `grid`."""
    grid = _flat(sections.pop("grid", {}), origin)
    bad = next((key for key, values in grid.items() if not isinstance(values, list) or not values), None)
    if bad is not None:
        raise InputError(f"{origin}: grid.{bad} = {short(grid[bad])} does not fit: give a list of values")
    if not grid:
        return
    rows: dict[str, Any] = {}
    for (key, row), values in itertools.product(
        sections.get("rows", {}).items(), itertools.product(*grid.values())
    ):
        chosen = dict(zip(grid, values, strict=True))
        words = [(name.rsplit(".", 1)[-1], value) for name, value in chosen.items()]
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join([key, *(f"{leaf}-{value}" for leaf, value in words)]))
        title = ", ".join([row.get("title", key), *(f"{leaf} {value}" for leaf, value in words)])
        rows[name] = {"title": title, **row, "set": row["set"] | chosen} | {"title": title}
    sections["rows"] = rows


def _fault(error: ValidationError) -> str:
    """The first fault of a study's keys."""
    first = error.errors(include_url=False)[0]
    where = [str(part) for part in first["loc"]]
    in_row = where[:1] == ["rows"] and len(where) > 2
    known = [name for name in (StudyRow if in_row else Study).model_fields if name != "name"]
    key = ".".join(where)
    if first["type"] == "extra_forbidden":
        extra = [] if in_row else ["base", "grid"]
        return f"unknown key {short(key)}; {nearest(where[-1], known + extra, 'keys')}"
    if first["type"] == "missing" or (key == "rows" and first["type"] == "too_short"):
        return f"key {key!r} is missing; a study has recipe and [rows.NAME], or base"
    reason = first.get("ctx", {}).get("error")
    said = str(reason) if isinstance(reason, ValueError) else first["msg"][0].lower() + first["msg"][1:]
    return f"{key} = {short(first['input'])} does not fit: {said}"
