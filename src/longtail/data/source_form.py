"""What a file of `longtail.data.sources` defines: how one source of images is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from longtail.data.listing import Source
from longtail.data.options import TwoLabels


@dataclass(frozen=True)
class Place:
    """Where the images of a source are.

    Attributes:
        path: file or folder (`data.path`); None only for a source that needs none.
        root: folder that the paths in a file start from (`data.root`); None: the file's own.
        two_labels: what becomes of images with two labels, see `DataOptions`.
    """

    path: Path | None
    root: Path | None = None
    two_labels: TwoLabels = "refuse"

    @property
    def given(self) -> Path:
        """The path of a source that needs one."""
        assert self.path is not None
        return self.path


@dataclass(frozen=True)
class SourceForm:
    """How one source of images is read.

    Attributes:
        about: one line: what it is, and what `--data` has to name.
        read: lists its images, nothing decoded; raises InputError for what cannot be read.
        reads: whether it reads what lies at a path; None: never asked, the source is named or is the last resort.
        rank: of several sources that read a path the one of the lowest rank takes it.
        needs_path: whether `data.path` has to be given.
        takes_root: whether `data.root` may be given.
        steps: how to get the images, a line a step, where they are the same for everybody.
    """

    about: str
    read: Callable[[Place], Source]
    reads: Callable[[Path], bool] | None = None
    rank: int = 0
    needs_path: bool = True
    takes_root: bool = False
    steps: tuple[str, ...] = ()
