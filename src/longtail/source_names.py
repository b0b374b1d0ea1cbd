"""The names of all sources of images, none of them imported: the package's, and those of one's own folders."""

from functools import cache
from pathlib import Path

from longtail.plugins import existing, file_names, named_folders, package_folders

VARIABLE, ENTRY_POINT = "LONGTAIL_SOURCES", "longtail.sources"
_PACKAGE = Path(__file__).with_name("data") / "sources"


@cache
def own_folders() -> tuple[str, ...]:
    """The folders with sources of the user's own images.

    They are `longtail.data.sources.own`, the folders that LONGTAIL_SOURCES names (separated as in PATH), and the
    packages that installed distributions name under the entry point `longtail.sources`.

    Raises:
        InputError: a folder is missing, an entry point names no package, or two files have the same name.
    """
    elsewhere = (*existing(named_folders(VARIABLE), VARIABLE), *package_folders(ENTRY_POINT, "source"))
    found = (str(_PACKAGE / "own"), *elsewhere)
    file_names([*found, str(_PACKAGE / "named")], "source")
    return found


@cache
def own_sources() -> tuple[str, ...]:
    """Sources of the user's own images, by the form in which they lie: the files of `own_folders`.

    Raises:
        InputError: see `own_folders`.
    """
    return tuple(file_names(own_folders(), "source"))


@cache
def named_sources() -> tuple[str, ...]:
    """Sets that are the same for everybody: the files of `longtail.data.sources.named`."""
    return tuple(file_names([str(_PACKAGE / "named")], "source"))


def packaged_sources() -> tuple[str, ...]:
    """The sources of the package itself, whatever is wrong with folders of one's own."""
    return tuple(file_names([str(_PACKAGE / "own"), str(_PACKAGE / "named")], "source"))


def data_name(source: str, path: str | None) -> str:
    """What the images are called: a named set by its name, one's own by their folder or file.

    >>> data_name("cifar10", "/data"), data_name("folder", "/me/birds.v2"), data_name("table", "birds.csv")
    ('cifar10', 'birds.v2', 'birds')
    """
    if path is None or source not in own_sources():
        return source
    return Path(path).name if source in ("folder", "packed") else Path(path).stem
