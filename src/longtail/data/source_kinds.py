"""Which source of images reads what lies at a path, and reading one; nothing is decoded."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.data.dataset import look_alike
from longtail.data.grouping import grouped
from longtail.data.listing import Listing, Source
from longtail.data.opening import Encoded
from longtail.data.options import DataOptions, TwoLabels
from longtail.data.source_form import Place
from longtail.data.sources import LAST, find
from longtail.source_names import named_sources, own_sources
from longtail.types import InputError

ReadSource = Callable[[DataOptions], Source]
Seen = Callable[[str, int, int], None]  # called with what is read, how much is done, and of how much


def source_of(path: Path) -> str:
    """Which source reads what lies at `path`."""
    forms = {name: find(name) for name in own_sources()}
    for name in sorted(forms, key=lambda name: forms[name].rank):
        reads = forms[name].reads
        if reads is not None and reads(path):
            return name
    return LAST


def options_of(path: Path, root: Path | None = None, two_labels: TwoLabels = "refuse") -> DataOptions:
    """The options that read all of what lies at `path`."""
    place = None if root is None else str(root)
    return DataOptions(name=source_of(path), path=str(path), root=place, two_labels=two_labels)


def read_source(options: DataOptions) -> Source:
    """List what the options' source holds, nothing decoded."""
    source = grouped(_read(options), options.group_by)
    names = {name for part in source.parts.values() for name in part.class_names}
    return replace(source, remarks=(*source.remarks, *look_alike(names)))


class SourceReader:
    """Reads a source once, however many ask for it: `read_source` with a memory of one."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Source] = {}

    def __call__(self, options: DataOptions) -> Source:
        """See `read_source`."""
        key = options.name, options.path, options.root, options.two_labels, options.group_by
        if key not in self._known:
            self._known = {key: read_source(options)}
        return self._known[key]


def counting(read: ReadSource, seen: Seen) -> ReadSource:
    """A way to read sources whose images are counted as they are fetched."""

    def counted(part: str, listing: Listing) -> Listing:
        def fetch(rows: NDArray[np.int64]) -> Iterator[Encoded]:
            seen(f"reading {part} images", 0, len(rows))
            for done, image in enumerate(listing.fetch(rows), 1):
                yield image
                seen(f"reading {part} images", done, len(rows))

        return replace(listing, fetch=fetch)

    def read_counted(options: DataOptions) -> Source:
        source = read(options)
        parts = {part: counted(part, listing) for part, listing in source.parts.items()}
        return replace(source, train=parts.get("train"), val=parts.get("val"), test=parts.get("test"))

    return read_counted


def _read(options: DataOptions) -> Source:
    form = find(options.name)
    path = None if options.path is None else Path(options.path).expanduser()
    if path is not None and not path.exists():
        raise InputError(f"{path} does not exist; give the place where the images are")
    if path is None and form.needs_path:
        said = f"data.name={options.name} needs the data's place; give it with --data PATH"
        raise InputError(said, form.steps)
    root = None if options.root is None else Path(options.root).expanduser()
    if root is not None and not form.takes_root:
        rooted = [name for name in (*own_sources(), *named_sources()) if find(name).takes_root]
        raise InputError(f"data.root is for {', '.join(rooted)}; leave it out for data.name={options.name}")
    if root is not None and not root.is_dir():
        raise InputError(f"data.root = {root} is no folder; give the one that the paths start from")
    return form.read(Place(path, root, options.two_labels))
