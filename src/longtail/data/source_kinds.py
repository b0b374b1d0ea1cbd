"""Which sources of images there are, which reads what lies at a path, and reading one; nothing is decoded."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.choices import OwnSource
from longtail.data.cifar import read_cifar
from longtail.data.dataset import look_alike
from longtail.data.digits import read_digits
from longtail.data.file_list import list_files, read_lists
from longtail.data.folder import read_folder
from longtail.data.grouping import grouped
from longtail.data.inaturalist import annotation_files, read_inaturalist
from longtail.data.listing import Listing, Source
from longtail.data.opening import Encoded
from longtail.data.options import DataOptions, TwoLabels
from longtail.data.packed import is_packed, read_packed
from longtail.data.parquet import holds_images, read_parquet
from longtail.data.published import PUBLISHED, get_it, read_published
from longtail.data.shards import parquet_files
from longtail.data.table import TABLES, read_table
from longtail.runs import layout
from longtail.types import InputError

ReadSource = Callable[[DataOptions], Source]
Seen = Callable[[str, int, int], None]  # told what is read, how much of it is, and of how much

_PLAIN: dict[str, Callable[[Path], Source]] = {
    "folder": read_folder, "parquet": read_parquet, "packed": read_packed,
}  # fmt: skip
_ROOTED: dict[str, Callable[[Path, Path | None, TwoLabels], Source]] = {
    "table": read_table,
    "list": read_lists,
    "inaturalist": read_inaturalist,
    **{name: partial(read_published, name) for name in PUBLISHED},
}


def sources() -> dict[str, str]:
    """Name -> one line about each source of images."""
    return {
        "digits": "1,797 handwritten digits of 8x8 pixels that come with scikit-learn, 10 classes",
        "cifar10": "CIFAR-10, 32x32 pixels, 10 classes; downloaded, or --data with Parquet or pickle files",
        "cifar100": "CIFAR-100, 32x32 pixels, 100 classes; downloaded, or --data as for cifar10",
        **{name: known.described() for name, known in PUBLISHED.items()},
        "folder": "your images: --data PATH with train/CLASS/ and test/CLASS/, or CLASS/ folders alone",
        "parquet": "Parquet files as on the Hugging Face hub: --data PATH with train-*.parquet",
        "table": "a CSV or Parquet file with the columns path, label and, where wanted, split and group: --data FILE",
        "list": "lines `path label` as of ImageNet-LT: --data FILE, or a folder with *train*.txt and *test*.txt",
        "inaturalist": "annotations as of iNaturalist: --data FILE, or a folder with train*.json and val*.json",
        "packed": f"what `longtail data pack` made of one of these: --data PATH with {layout.PACKED}",
    }


def source_of(path: Path) -> OwnSource:
    """Which source reads what lies at `path`."""
    suffix = path.suffix.lower() if path.is_file() else None
    if is_packed(path):
        return "packed"
    if suffix in TABLES or (suffix == ".parquet" and not holds_images(path)):
        return "table"
    if parquet_files(path):
        return "parquet"
    if suffix == ".txt" or (suffix is None and list_files(path)):
        return "list"
    return "inaturalist" if suffix == ".json" or (suffix is None and annotation_files(path)) else "folder"


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
    path = None if options.path is None else Path(options.path).expanduser()
    if options.name == "digits":
        return read_digits()
    if path is not None and not path.exists():
        raise InputError(f"{path} does not exist; give the place where the images are")
    if options.name in ("cifar10", "cifar100"):
        return read_cifar(options.name, path)
    if path is None:
        said = f"data.name={options.name} needs the data's place; give it with --data PATH"
        raise InputError(said, get_it(options.name))
    root = None if options.root is None else Path(options.root).expanduser()
    if root is not None and options.name not in _ROOTED:
        raise InputError(f"data.root is for {', '.join(_ROOTED)}; leave it out for data.name={options.name}")
    if root is not None and not root.is_dir():
        raise InputError(f"data.root = {root} is no folder; give the one that the paths start from")
    if options.name in _ROOTED:
        return _ROOTED[options.name](path, root, options.two_labels)
    return _PLAIN[options.name](path)
