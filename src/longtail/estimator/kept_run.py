"""The run behind a fitted estimator: a folder that goes with it into a pickle, and goes away with it if temporary."""

import os
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import Any

from longtail.predict import Classifier, load_run


class KeptRun:
    """A run folder.

    A pickle holds the folder's files, but for `state/`, which resuming alone needs. What is unpickled lies in a
    temporary folder of its own, removed with the last reference to this.

    Args:
        path: the run folder, which may be made later.
        temporary: the folder to remove with this, None for none.
    """

    def __init__(self, path: Path, temporary: Path | None = None) -> None:
        self.path = path
        if temporary is not None:
            weakref.finalize(self, _remove, temporary, os.getpid())

    @classmethod
    def in_temporary(cls) -> "KeptRun":
        home = Path(tempfile.mkdtemp(prefix="longtail-"))
        return cls(home / "run", home)

    @cached_property
    def classifier(self) -> Classifier:
        """The run's network, loaded when it is first asked for."""
        return load_run(self.path)

    def __getstate__(self) -> dict[str, Any]:
        files = (file for file in sorted(self.path.rglob("*")) if file.is_file())
        names = {file.relative_to(self.path).as_posix(): file for file in files}
        return {
            name: file.read_bytes()
            for name, file in names.items()
            if not name.startswith(("state/", ".lock"))
        }

    def __setstate__(self, files: dict[str, Any]) -> None:
        home = Path(tempfile.mkdtemp(prefix="longtail-"))
        self.__init__(home / "run", home)  # type: ignore[misc]
        for name, content in files.items():
            file = (self.path / name).resolve()
            if not file.is_relative_to(self.path.resolve()):
                raise ValueError(f"a pickled run holds {name!r}, which leads out of its folder")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _remove(folder: Path, owner: int) -> None:
    """Remove a temporary folder, but not from a process that was forked from the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
