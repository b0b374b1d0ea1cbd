"""Stored and foreign files, checked where they are read: size, depth and numbers first, then a strict model.

Whoever reads a file that somebody else may have written, or changed, reads it here. Every fault is one `InputError`
with the file, the field and the remedy; what it quotes is cut short.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from longtail.errors import InputError
from longtail.machine import pass_on

MOST_BYTES = 64 * 2**20  # of one file
MOST_DEPTH = 32  # lists and objects within each other
MOST_DIGITS = 300  # of a whole number
MOST_DOTS = 200  # in a line of TOML: the memory that a key takes grows with the square of its dots

Form = TypeVar("Form", bound=BaseModel)


class Record(BaseModel):
    """The form of a stored object: types are exact, numbers finite.

    Keys that a model does not name are kept and not checked, so that a later version can add some.
    """

    # a form is made ready when it is first used: a command that reads a run uses few
    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)


def read_record(file: Path, form: type[Form], remedy: str, *, most: int = MOST_BYTES) -> Form:
    """The content of a JSON file in a given form.

    Args:
        file: read as UTF-8, whole.
        form: a `Record`; where the file holds a list, a `RootModel` of some.
        remedy: what the user should do where the file is missing or damaged.
        most: bytes that the file may have.

    Raises:
        InputError: it cannot be read, is no JSON, or is not of that form.
    """
    return parse_record(read_bytes(file, remedy, most=most), form, str(file), remedy, most=most)


def read_lines(file: Path, form: type[Form], remedy: str, *, most: int = MOST_BYTES) -> list[Form]:
    """The content of a file with one JSON value a line, see `read_record`."""
    lines = decoded(read_bytes(file, remedy, most=most), str(file), remedy).split("\n")
    return [
        parse_record(line, form, f"{file}, line {number},", remedy, most=most)
        for number, line in enumerate(lines, 1)
        if line or number < len(lines)
    ]


def parse_record(
    text: str | bytes, form: type[Form], where: str, remedy: str, *, most: int = MOST_BYTES
) -> Form:
    """JSON in a given form, see `read_record`.

    Args:
        where: what to call it in messages: the file, or the place in a file.
    """
    return check_record(parse_json(text, where, remedy, most=most), form, where, remedy)


def check_record(value: object, form: type[Form], where: str, remedy: str) -> Form:
    """What was read in another way (TOML, a checkpoint, a table) in a given form, see `parse_record`."""
    try:
        return form.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        raise _damaged(where, f"{_fault(dict(faults[0]))}{more}", remedy) from None


def parse_json(
    text: str | bytes, where: str, remedy: str, *, most: int = MOST_BYTES, file_names: bool = False
) -> Any:
    """JSON of bounded size and depth, with finite numbers, and no key twice in an object.

    Args:
        file_names: allow text that is no Unicode, as names of files can be.

    Raises:
        InputError: see above, or it is no JSON or no UTF-8.
    """
    if len(text) > most:
        raise _damaged(where, f"it has {len(text):,} bytes, more than {most:,}", remedy)
    text = decoded(text, where, remedy) if isinstance(text, bytes) else text
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_finite, parse_constant=_finite
        )
    except RecursionError:
        raise _damaged(where, _DEEP, remedy) from None
    except ValueError as error:
        raise _damaged(where, f"no sound JSON: {error}", remedy) from None
    if _is_deep(found):
        raise _damaged(where, _DEEP, remedy)
    if not file_names and _HALF.search(text):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _damaged(where, "a text in it is no Unicode", remedy) from None
    return found


def parse_toml(text: str, where: str, remedy: str, *, most: int = 2**16) -> dict[str, Any]:
    """TOML of bounded size and depth, see `parse_json`; infinity and NaN are left to the form."""
    if len(text) > most:
        raise _damaged(where, f"it has {len(text):,} bytes, more than {most:,}", remedy)
    try:
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise RecursionError
        if _LONG.search(text):
            raise ValueError(f"a number of more than {MOST_DIGITS} digits")
        found = tomllib.loads(text)
    except RecursionError:
        raise _damaged(where, _DEEP, remedy) from None
    except ValueError as error:
        raise InputError(f"{where} is not valid TOML: {short(error, 200)}; {remedy}") from None
    if _is_deep(found):
        raise _damaged(where, _DEEP, remedy)
    return found


def read_bytes(file: Path, remedy: str, *, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file that exists and is of bounded size.

    Raises:
        InputError: it does not exist, is no file, is too large, or cannot be read.
    """
    if not file.exists():
        raise InputError(f"{file} does not exist; {remedy}")
    if not file.is_file():
        raise InputError(f"{file} is no file; {remedy}")
    try:
        with file.open("rb") as opened:
            data = opened.read(most + 1)
    except OSError as error:
        pass_on(error)
        raise InputError(f"cannot read {file}: {error.strerror}; {remedy}") from None
    if len(data) > most:
        raise _damaged(str(file), f"it has {file.stat().st_size:,} bytes, more than {most:,}", remedy)
    return data


def decoded(data: bytes, where: str, remedy: str) -> str:
    """UTF-8 text, without a byte order mark.

    Raises:
        InputError: it is none.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _damaged(where, f"no UTF-8 text at byte {error.start:,}", remedy) from None


def refuse_newer(content: object, known: int, what: str, key: str = "format_version") -> None:
    """Refuse what a newer longtail wrote, before its form is checked.

    Args:
        content: an object with its version under `key`; one that says none is of the first.
        known: the newest version that this longtail reads.
        what: to name in the message.

    Raises:
        InputError: the version is above `known`.
    """
    version = content.get(key) if isinstance(content, dict) else None
    if isinstance(version, int) and version > known:
        raise InputError(
            f"{what} has {key} {short(version)}, and this longtail reads up to {known}; update longtail"
        )


def short(value: object, most: int = 80) -> str:
    """A value for a message: one line, cut to `most` characters."""
    if isinstance(value, Exception):
        text = str(value) or type(value).__name__
    elif isinstance(value, dict | list | tuple):
        text = f"{type(value).__name__} of {len(value):,}"
    else:
        try:
            text = repr(value[: most + 1] if isinstance(value, str | bytes) else value)
        except ValueError:  # Python writes no numbers of thousands of digits
            text = "a number of thousands of digits"
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else f"{text[:most]}..."


def unique(values: Iterable[str], what: str) -> None:
    """For validators of models: each value once.

    Raises:
        ValueError: one is there twice; the message names it.
    """
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {short(value)} is there twice")
        seen.add(value)


_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # half of a pair of UTF-16, which may stand alone
_LONG = re.compile(rf"0[xob][0-9a-fA-F_]{{{MOST_DIGITS},}}")  # Python limits the decimal ones alone
_DEEP = f"lists and objects lie more than {MOST_DEPTH} deep in each other"


def _damaged(where: str, reason: str, remedy: str) -> InputError:
    return InputError(f"{where} is damaged ({reason}); {remedy}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        unique((key for key, _ in pairs), "key")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{short(number)} is no finite number")
    return value


def _is_deep(found: Any) -> bool:
    level = [found]
    for _ in range(MOST_DEPTH):
        level = [value for outer in level for value in _inside(outer)]
        if not level:
            return False
    return True


def _inside(outer: Any) -> Iterator[Any]:
    """The lists and objects directly in one."""
    values = outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
    return (value for value in values if isinstance(value, dict | list))


def _fault(first: dict[str, Any]) -> str:
    """The field and what is wrong with it."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]]
    field = short(ValueError("".join(parts).lstrip("."))) if parts else "it"
    if first["type"] == "missing":
        return f"{field} is missing"
    given = first.get("ctx", {}).get("error")
    if isinstance(given, ValueError):  # of a model's own check
        return f"{field}: {short(given, 200)}" if parts else short(given, 200)
    said = first["msg"][0].lower() + first["msg"][1:]
    if not said.startswith("input should"):
        return f"{field} does not fit: {short(ValueError(said), 200)}"
    return f"{field} {short(ValueError(said.removeprefix('input ')), 200)}, not {short(first['input'])}"
