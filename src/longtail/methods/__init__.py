"""Methods, one file each; a new file is found by the command line, the tests and the docs without registration.

Methods may live elsewhere as well: in folders that the environment variable LONGTAIL_METHODS names (separated as in
PATH), and in packages that an installed distribution names under the entry point `longtail.methods`.
"""

import difflib
import importlib
import importlib.util
import os
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.errors import InputError
from longtail.method_text import MethodText, method_text

if TYPE_CHECKING:
    from longtail.method import Method

ENTRY_POINT = "longtail.methods"

__path__ += [folder for folder in os.environ.get("LONGTAIL_METHODS", "").split(os.pathsep) if folder]


@cache
def available() -> dict[str, type["Method"]]:
    """Every method found, by name.

    Raises:
        InputError: a file does not define exactly one method.
    """
    return {name: _load(name) for name in names()}


def names() -> list[str]:
    """The names of all methods, none imported; a file whose name begins with an underscore is no method.

    Raises:
        InputError: two folders hold a method of the same name, or an entry point names no package.
    """
    _search_packages()
    modules = [module for folder in dict.fromkeys(__path__) for module in pkgutil.iter_modules([folder])]
    found = sorted(module.name for module in modules if not module.name.startswith("_"))
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise InputError(
            f"method {twice[0]!r} is defined by two files in {', '.join(__path__)}; rename your own"
        )
    return found


def find(name: str) -> type["Method"]:
    """The method of that name.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    known = names()
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise InputError(f"unknown method {name!r}; methods are {', '.join(known)}: {hint}")
    return _load(name)


def describe(name: str) -> MethodText:
    """What a method of `names()` says of itself, from the text of its file where that settles it, so without torch.

    Raises:
        InputError: the file cannot be read or is no method.
    """
    found = importlib.util.find_spec(f"{__name__}.{name}")
    if found is not None and found.origin and found.origin.endswith(".py"):
        try:
            said = method_text(Path(found.origin))
        except (OSError, SyntaxError, ValueError):
            said = None
        if said is not None:
            return said
    method = find(name)  # imports it, and says what is wrong with it
    return MethodText((method.__doc__ or "").strip().split("\n")[0], method.paper, method.needs)


@cache
def _search_packages() -> None:
    """Add the folders of installed packages of methods; none of them is imported."""
    for entry in entry_points(group=ENTRY_POINT):
        __path__.extend(_folders(entry))


def _folders(entry: EntryPoint) -> list[str]:
    try:
        spec = importlib.util.find_spec(entry.module)
    except Exception:  # finding a subpackage imports what it lies in, a plug-in whose faults are its own
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the entry point {ENTRY_POINT} {entry.name!r} names {entry.value!r}, which is no package of method files; "
            "correct it, or uninstall its distribution"
        )
    return list(spec.submodule_search_locations)


@cache
def _load(name: str) -> type["Method"]:
    from longtail.method import Method  # torch: only where a method is used

    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except (Exception, SystemExit) as error:  # a plug-in's own fault, whatever it is
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"method {name!r} cannot be imported ({reason}); correct its file") from error
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise InputError(
            f"{module.__file__} defines {len(own)} methods; a method file defines exactly one subclass of Method"
        )
    return own[0]
