"""Files that are found by being there, the package's own and others': methods, sources of images, report sections.

Others' files lie in folders that an environment variable names, and in packages that an installed distribution names
under an entry point.
"""

import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from longtail.errors import InputError


def named_folders(variable: str) -> list[str]:
    """The folders that an environment variable names, separated as in PATH."""
    return [folder for folder in os.environ.get(variable, "").split(os.pathsep) if folder]


def existing(folders: Sequence[str], variable: str) -> Sequence[str]:
    """The folders that an environment variable names, if all are there.

    Raises:
        InputError: one of them is no folder.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"{variable} names {folder}, which is no folder; correct it or leave it out")
    return folders


def package_folders(group: str, kind: str) -> list[str]:
    """The folders of the packages that installed distributions name under an entry point; none is imported.

    Args:
        group: the entry point's.
        kind: what such a package holds, "method" for instance.

    Raises:
        InputError: an entry point names no package.
    """
    return [folder for entry in entry_points(group=group) for folder in _folders(entry, kind)]


def _folders(entry: EntryPoint, kind: str) -> list[str]:
    try:
        spec = importlib.util.find_spec(entry.module)
    except Exception:  # finding a subpackage imports what it lies in, a plug-in whose faults are its own
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the entry point {entry.group} {entry.name!r} names {entry.value!r}, which is no package of {kind} "
            "files; correct it, or uninstall its distribution"
        )
    return list(spec.submodule_search_locations)


def file_names(folders: Iterable[str], kind: str) -> list[str]:
    """The names of the files in some folders, sorted, none imported; one that begins with an underscore is none.

    Raises:
        InputError: two folders hold a file of the same name.
    """
    searched = list({os.path.realpath(folder): folder for folder in folders}.values())
    found = sorted(
        (module.name, folder)
        for folder in searched
        for module in pkgutil.iter_modules([folder])
        if not module.name.startswith("_")
    )
    for (name, folder), (following, other) in pairwise(found):
        if name == following:
            raise InputError(
                f"{kind} {name!r} is defined by two files, in {folder} and {other}; rename your own"
            )
    return [name for name, _ in found]


def import_file(package: str, name: str, kind: str) -> ModuleType:
    """The module of that name.

    Raises:
        InputError: it cannot be imported; the reason is in the message.
    """
    try:
        return importlib.import_module(f"{package}.{name}")
    except (Exception, SystemExit) as error:  # a plug-in's own fault, whatever it is
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        spec = importlib.util.find_spec(f"{package}.{name}")
        file = spec.origin if spec is not None and spec.origin else "its file"
        raise InputError(f"{kind} {name!r} cannot be imported ({reason}); correct {file}") from error
