"""The run behind a fitted estimator: a folder that goes with it into a pickle, and goes away with it if temporary."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from longtail.predict import Classifier, load_run
from longtail.runs import layout

KEPT = (
    layout.RECIPE, "*.json", layout.LOG, layout.SPLITS, layout.WEIGHTS, layout.DESCRIPTION, layout.evaluation("*", "*")
)  # fmt: skip


class KeptRun:
    """A run folder.

    A pickle holds what training wrote of it, but for `state/`, which resuming alone needs; reports and exported files
    can be made again. What is unpickled lies in a
    temporary folder of its own, removed with the last reference to this.

    Args:
        path: the run folder, which may be made later.
        temporary: the folder to remove with this, None for none.
    """

    def __init__(self, path: Path, temporary: Path | None = None) -> None:
        self.path = path
        self._loaded: dict[str, Classifier] = {}
        if temporary is not None:
            weakref.finalize(self, _remove, temporary, os.getpid())

    @classmethod
    def in_temporary(cls) -> "KeptRun":
        home = Path(tempfile.mkdtemp(prefix="longtail-"))
        return cls(home / "run", home)

    def classifier(self, device: str) -> Classifier:
        """The run's network, loaded when it is first asked for on a device."""
        if device not in self._loaded:
            self._loaded[device] = load_run(self.path, device=device)
        return self._loaded[device]

    def __getstate__(self) -> dict[str, Any]:
        files = [file for name in KEPT for file in sorted(self.path.glob(str(name))) if file.is_file()]
        return {file.relative_to(self.path).as_posix(): file.read_bytes() for file in files}

    def __setstate__(self, files: dict[str, Any]) -> None:
        home = Path(tempfile.mkdtemp(prefix="longtail-"))
        self.__init__(home / "run", home)  # type: ignore[misc]
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _remove(folder: Path, owner: int) -> None:
    """Remove a temporary folder, but not from a process that was forked from the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
