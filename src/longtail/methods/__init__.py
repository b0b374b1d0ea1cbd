"""Methods, one file each; a new file is found by the command line, the tests and the docs without registration.

Methods may live elsewhere as well: in folders that the environment variable LONGTAIL_METHODS names (separated as in
PATH), and in packages that an installed distribution names under the entry point `longtail.methods`.
"""

import difflib
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.errors import InputError
from longtail.method_text import MethodText, method_text
from longtail.plugins import existing, file_names, import_file, named_folders, package_folders

if TYPE_CHECKING:
    from longtail.method import Method

ENTRY_POINT = "longtail.methods"

FOLDERS = "LONGTAIL_METHODS"

__path__ += named_folders(FOLDERS)


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
        InputError: two folders hold a method of the same name, a folder of LONGTAIL_METHODS is missing, or an entry
            point names no package.
    """
    _search_packages()
    return file_names(__path__, "method")


def packaged() -> list[str]:
    """The names of the package's own methods, whatever is wrong with folders of one's own."""
    return file_names([str(Path(__file__).parent)], "method")


def find(name: str) -> type["Method"]:
    """The method of that name.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    known = names()
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "choose one of these,"
        raise InputError(
            f"unknown method {name!r}; {hint} methods are {', '.join(known)}; {FOLDERS} names folders of your own"
        )
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
    existing(named_folders(FOLDERS), FOLDERS)
    __path__.extend(package_folders(ENTRY_POINT, "method"))


@cache
def _load(name: str) -> type["Method"]:
    from longtail.method import Method  # torch: only where a method is used

    module = import_file(__name__, name, "method")
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
