"""The sections of the report, found in `sections/` and in folders and packages of one's own, and what they state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

from longtail.errors import InputError
from longtail.plugins import existing, file_names, import_file, named_folders, package_folders
from longtail.report import sections as package
from longtail.report.section import Facts, Section
from longtail.runs.run import Run

VARIABLE, ENTRY_POINT = "LONGTAIL_SECTIONS", "longtail.sections"
TAKEN = {"run", "evaluation", "head"} | {  # of `Facts`; and ids of the page
    "copy", "data", "find", "group", "hide", "matrix", "more", "rest", "sorted", "surest",
}  # fmt: skip


@cache
def sections() -> Mapping[str, Section[Any]]:
    """Every section by its name, in the order of the report; of equal rank, by name.

    Raises:
        InputError: a folder is missing, a name is taken, or a file defines no section.
    """
    found = {name: _load(name) for name in names()}
    return dict(sorted(found.items(), key=lambda item: (item[1].rank, item[0])))


def collect(run: Run) -> Facts:
    """All facts of a run, computed.

    Args:
        run: its folder, finished or not, evaluated or not.

    Raises:
        InputError: a file of the folder is damaged, or see `sections`.
    """
    facts = Facts(run, sections())
    for name in ("head", *sections()):
        getattr(facts, name)
    return facts


def names() -> list[str]:
    """The names of all sections, none imported.

    Raises:
        InputError: a folder is missing, or a name is taken.
    """
    _search()
    found = file_names(package.__path__, "section")
    taken = sorted(TAKEN.intersection(found))
    if taken:
        raise InputError(
            f"section {taken[0]!r} cannot be called so: the report uses that name; rename its file"
        )
    return found


@cache
def _search() -> None:
    """Add the folders and installed packages of sections; nothing is imported."""
    folders = existing(named_folders(VARIABLE), VARIABLE)
    package.__path__.extend([*folders, *package_folders(ENTRY_POINT, "section")])


def _load(name: str) -> Section[Any]:
    module = import_file(package.__name__, name, "section")
    found = getattr(module, "SECTION", None)
    if not isinstance(found, Section):
        raise InputError(
            f"{module.__file__} defines no SECTION, which is a longtail.report.section.Section; add it"
        )
    if Path(str(module.__file__)).parent == Path(str(package.__file__)).parent:
        return found
    guarded: dict[str, Any] = {
        field: None if call is None else _guarded(call, name, str(module.__file__))
        for field in ("compute", "terminal", "page")
        for call in [getattr(found, field)]
    }
    return replace(found, **guarded)


def _guarded(call: Callable[..., Any], name: str, file: str) -> Callable[..., Any]:
    """A function of a section of one's own, whose faults name its file."""

    @wraps(call)
    def run(*given: Any) -> Any:
        try:
            return call(*given)
        except InputError:
            raise
        except Exception as error:  # whatever it is
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(f"section {name!r} of the report failed ({reason}); correct {file}") from error

    return run
