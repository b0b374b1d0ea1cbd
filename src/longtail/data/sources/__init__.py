"""One file, one source of images, found by being there: `own/` holds the forms of images of one's own, `named/` sets.

The name of a file is the name of its source (`data.name`); the file defines `FORM`, a
`longtail.data.source_form.SourceForm`. Files whose name begins with an underscore are none. Names are known without
importing a file, see `longtail.source_names`. More sources of one's own images may live in folders that the environment
variable LONGTAIL_SOURCES names (separated as in PATH), and in packages that an installed distribution names under the
entry point `longtail.sources`.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from longtail.errors import InputError
from longtail.plugins import import_file
from longtail.source_names import named_sources, own_sources

if TYPE_CHECKING:
    from longtail.data.published import Published
    from longtail.data.source_form import SourceForm

LAST = "folder"  # reads a path that no other source of one's own images reads


def find(name: str) -> "SourceForm":
    """The source of that name, one of `own_sources()` or `named_sources()`.

    Raises:
        InputError: its file cannot be imported, or defines no `FORM`.
    """
    module = _module(name)
    form: SourceForm | None = getattr(module, "FORM", None)
    if form is None:
        raise InputError(f"{module.__file__} defines no FORM; see docs/add-a-source.md")
    return form


def published(name: str) -> "Published | None":
    """What the published set of that name holds; None where the source is none."""
    known: Published | None = getattr(_module(name), "SET", None) if name in named_sources() else None
    return known


def _module(name: str) -> ModuleType:
    return import_file(f"{__name__}.{'own' if name in own_sources() else 'named'}", name, "source")
