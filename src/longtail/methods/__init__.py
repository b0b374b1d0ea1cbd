"""One file, one method. A file dropped here is found by the command line, the tests and the docs, without an edit.

Folders named in the environment variable LONGTAIL_METHODS (separated as in PATH) are searched as well, so a method can
live outside an installed package.
"""

import difflib
import importlib
import os
import pkgutil
from functools import cache

from longtail.method import Method
from longtail.types import InputError

__path__ += [folder for folder in os.environ.get("LONGTAIL_METHODS", "").split(os.pathsep) if folder]


@cache
def available() -> dict[str, type[Method]]:
    """Every method found, by name.

    Raises:
        InputError: a file does not define exactly one method.
    """
    return {
        name: _load(name) for _, name, _ in sorted(pkgutil.iter_modules(__path__), key=lambda found: found[1])
    }


def find(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    methods = available()
    if not isinstance(name, str) or name not in methods:
        near = difflib.get_close_matches(str(name), methods, 1)
        hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise InputError(f"unknown method {name!r}; methods are {', '.join(methods)}: {hint}")
    return methods[name]


def _load(name: str) -> type[Method]:
    module = importlib.import_module(f"{__name__}.{name}")
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
