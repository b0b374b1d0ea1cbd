"""Images of one's own, by the form in which they lie: these files, and those of folders that LONGTAIL_SOURCES names."""

import pkgutil
from collections.abc import Sequence
from pathlib import Path

from longtail.choices import ELSEWHERE, named_sources
from longtail.errors import InputError


def checked(folders: Sequence[str]) -> Sequence[str]:
    """Folders with more sources.

    Raises:
        InputError: one is no folder, or a file has the name of another source, which would be read in its place.
    """
    known = {
        *named_sources(),
        *(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])),
    }
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(
                f"LONGTAIL_SOURCES names {folder}, which is no folder; correct it or leave it out"
            )
        names = {module.name for module in pkgutil.iter_modules([folder]) if not module.name.startswith("_")}
        if twice := sorted(names & known):
            raise InputError(
                f"{folder} has a source {twice[0]!r}, and there is another of that name; rename yours"
            )
        known |= names
    return folders


__path__ += checked(ELSEWHERE)
