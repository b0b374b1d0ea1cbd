"""A section of one's own, whose faults are one line that names the section and its file."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from longtail.errors import InputError
from longtail.machine import pass_on
from longtail.report.parts import Part
from longtail.report.section import Section

Call = Callable[..., Any]


def guarded(section: Section[Any], name: str, file: str) -> Section[Any]:
    """The section with its file, and with functions that say where their faults are.

    Raises:
        InputError: a field is of another type.
    """
    with faults_named(name, file):
        for field, kind in (("rank", (int, float)), ("short", str), ("heading", str), ("template", str)):
            if not isinstance(getattr(section, field), kind):
                raise TypeError(f"its {field} is {getattr(section, field)!r}")
    calls: dict[str, Call | None] = {"compute": section.compute}
    calls |= {"terminal": section.terminal and _checked(section.terminal, _lines)}
    calls |= {"page": section.page and _checked(section.page, _part)}
    found: dict[str, Any] = {field: call and _named(call, name, file) for field, call in calls.items()}
    return replace(section, file=file, **found)


@contextmanager
def faults_named(name: str, file: str) -> Iterator[None]:
    """Turn what goes wrong in a section of one's own into one line.

    Args:
        name: the section's.
        file: where it lies; empty for one of the package, whose faults are the package's own.

    Raises:
        InputError: something went wrong.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever it is
        if not file:
            raise
        pass_on(error)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"section {name!r} of the report failed ({reason}); correct {file}") from error


def _named(call: Call, name: str, file: str) -> Call:
    @wraps(call)
    def run(*given: Any) -> Any:
        with faults_named(name, file):
            return call(*given)

    return run


def _checked(call: Call, check: Call) -> Call:
    @wraps(call)
    def run(*given: Any) -> Any:
        return check(call(*given))

    return run


def _lines(found: Any) -> Mapping[str, Sequence[str]]:
    """What `terminal` returned, if it is lines by their titles."""
    if any(isinstance(several, str) for several in found.values()):
        raise TypeError("`terminal` returns a list of lines by each title, not one text")
    lines = {title: list(several) for title, several in found.items()}
    if not all(isinstance(text, str) for title, several in lines.items() for text in (title, *several)):
        raise TypeError("`terminal` returns lines of text by their titles")
    return lines


def _part(found: Any) -> Part | None:
    """What `page` returned, if it is a part of the page."""
    if not isinstance(found, Part | None):
        raise TypeError(f"`page` returns a longtail.report.parts.Part or None, not {type(found).__name__}")
    json.dumps(dict(found.script) if found else {}, allow_nan=False)
    return found
