"""Images of one's own, by the form in which they lie: these files, and those of folders that LONGTAIL_SOURCES names."""

from collections.abc import Sequence
from pathlib import Path

from longtail.choices import ELSEWHERE
from longtail.plugins import existing, file_names


def checked(folders: Sequence[str]) -> Sequence[str]:
    """Folders with more sources.

    Raises:
        InputError: one is no folder, or a file has the name of another source, which would be read in its place.
    """
    here = Path(__file__).parent
    file_names([str(here), str(here.with_name("named")), *existing(folders, "LONGTAIL_SOURCES")], "source")
    return folders


__path__ += checked(ELSEWHERE)
