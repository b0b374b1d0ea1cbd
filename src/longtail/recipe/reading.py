"""A recipe's text: the files shipped with the package, one's own, and single values."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from longtail.errors import InputError
from longtail.records import decoded, parse_toml, read_bytes, short
from longtail.runs import layout
from longtail.source_names import own_sources

SECTIONS = ("data", "model", "method", "optim", "run")
DEFAULT_FOR_IMAGES = "icl-images"  # small ones, from random weights
MOST_BYTES = 2**16
REMEDY = f"give a {layout.RECIPE}, such as a run folder holds, or a shipped recipe"


@cache
def shipped() -> Mapping[str, str]:
    """The recipes that come with the package: name -> text of the file. Read once a process."""
    folder = resources.files("longtail") / "recipes"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return MappingProxyType(
        {f.name.removesuffix(".toml"): f.read_text("utf-8") for f in files if f.name.endswith(".toml")}
    )


def read_text(path: Path) -> str:
    """The text of a recipe's file.

    Raises:
        InputError: it cannot be read, is too large, or is not UTF-8.
    """
    return decoded(read_bytes(path, REMEDY, most=MOST_BYTES), str(path), "save it as UTF-8")


def parse(text: str, origin: str) -> dict[str, Any]:
    """A recipe's sections, or the recipe that it begins with under "base".

    Raises:
        InputError: it is no TOML of bounded size and depth, or a key lies outside the sections.
    """
    sections = parse_toml(text, origin, "correct it", most=MOST_BYTES)
    loose = [key for key, value in sections.items() if not isinstance(value, dict) and key != "base"]
    if loose:
        raise InputError(
            f"{origin}: key {short(loose[0])} stands outside the sections {', '.join(SECTIONS)}; move it into one"
        )
    return sections


def toml_value(value: Any) -> Any:
    """Text as the TOML value that it is, none and null as None; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("none", "null"):
        return None
    try:
        return parse_toml(f"value = {value}", "the value", "correct it")["value"]
    except InputError:
        return value


def as_recorded(sections: dict[str, Any]) -> dict[str, Any]:
    """The sections of a run's own recipe, in which a key that is newer than the run says what the run did.

    Before `data.group_copies` there was, images with the same bytes alone were held out together.
    """
    data = sections.get("data")
    if isinstance(data, dict) and data.get("name") in own_sources():
        return sections | {"data": {"group_copies": "identical"} | data}
    return sections
