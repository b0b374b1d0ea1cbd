"""The sections of the report, found in `sections/` and in folders and packages of one's own, and what they state."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from longtail.errors import InputError
from longtail.plugins import existing, file_names, import_file, named_folders, package_folders
from longtail.report import sections as package
from longtail.report.own_section import guarded
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
    found = {name: find(name) for name in names()}
    return dict(sorted(found.items(), key=lambda item: (item[1].rank, item[0])))


def collect(run: Run) -> Facts:
    """All facts of a run, computed.

    Args:
        run: its folder, finished or not, evaluated or not.

    Raises:
        InputError: a file of the folder is damaged, or see `sections`.
    """
    facts = Facts(run, sections())
    by_owner = sorted(sections(), key=_is_own)  # so a section of one's own bears no fault of the package
    for name in ("head", *by_owner):
        getattr(facts, name)
    return facts


def _is_own(name: str) -> bool:
    return bool(sections()[name].file)


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


def packaged() -> list[str]:
    """The names of the package's own sections, whatever is wrong with folders of one's own."""
    return file_names([str(Path(str(package.__file__)).parent)], "section")


@cache
def _search() -> None:
    """Add the folders and installed packages of sections; nothing is imported."""
    folders = existing(named_folders(VARIABLE), VARIABLE)
    package.__path__.extend([*folders, *package_folders(ENTRY_POINT, "section")])


def find(name: str) -> Section[Any]:
    """The section of that name, one of `names()`.

    Raises:
        InputError: its file cannot be imported, or defines no section.
    """
    module = import_file(package.__name__, name, "section")
    found, file = getattr(module, "SECTION", None), str(module.__file__)
    if not isinstance(found, Section):
        raise InputError(f"{file} defines no SECTION, which is a longtail.report.section.Section; add it")
    own = Path(file).parent != Path(str(package.__file__)).parent
    return guarded(found, name, file) if own else found
