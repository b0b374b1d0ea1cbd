"""The images of a set of files, all splits together: those that can be divided, and why others cannot."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from longtail.data.fingerprint import Fingerprint, Fingerprints, take_fingerprint
from longtail.data.left_out import left_out_lines
from longtail.data.opening import UnreadableError
from longtail.data.options import TwoLabels
from longtail.data.source_kinds import options_of, read_source
from longtail.data.threads import in_threads
from longtail.types import InputError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Pool:
    """Every image of a set: where it is, its name and class, and what a table says of it."""

    files: tuple[Path, ...]
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    columns: Mapping[str, tuple[str, ...]]
    said: tuple[str, ...]
    grouped_by: str | None

    def existing(self) -> tuple["Pool", tuple[str, ...]]:
        """Those whose files exist, and the other files."""
        there = [os.path.isfile(file) for file in self.files]  # noqa: PTH113
        missing = tuple(str(file) for file, exists in zip(self.files, there, strict=True) if not exists)
        return self._kept(there), missing

    def readable(
        self, progress: Callable[[int, int], None]
    ) -> tuple["Pool", Fingerprints, tuple[tuple[str, str], ...]]:
        """Those that can be decoded, their fingerprints, and (name, reason) of each other one.

        Args:
            progress: called with the number of images seen and of all.
        """
        prints, bad, there = list[Fingerprint](), list[tuple[str, str]](), list[bool]()
        for name, found in zip(self.ids, in_threads(take_fingerprint, self.files), strict=True):
            there.append(not isinstance(found, UnreadableError))
            if isinstance(found, UnreadableError):
                bad.append((name, found.reason))
            else:
                prints.append(found)
            progress(len(there), len(self.files))
        return self._kept(there), Fingerprints.of(prints), tuple(bad)

    def _kept(self, there: Sequence[bool]) -> "Pool":
        def kept(values: Iterable[Value]) -> tuple[Value, ...]:
            return tuple(value for value, is_there in zip(values, there, strict=True) if is_there)

        return replace(
            self,
            files=kept(self.files),
            ids=kept(self.ids),
            labels=kept(self.labels),
            groups=None if self.groups is None else kept(self.groups),
            columns={name: kept(values) for name, values in self.columns.items()},
        )


def pool_of(path: Path, root: Path | None, two_labels: TwoLabels, *, again: bool) -> Pool:
    """List all images of a set.

    Args:
        path: class folders, a table, lists or annotations.
        root: folder that the paths of a table, lists or annotations start from. Default: the one it lies in.
        two_labels: what becomes of images with two labels or more, see `DataOptions`.
        again: whether it may have splits already.

    Raises:
        InputError: images that are no files, or a set that has splits already.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give class folders, a table, lists or annotations")
    options = options_of(path, root, two_labels)
    source = read_source(options)
    if (files := source.files()) is None:
        raise InputError(
            f"the images of {path} are no files, so a table cannot name them; train with --set data.validation=0.2"
        )
    if not again and list(source.parts) != ["train"]:
        raise InputError(
            f"{path} is divided already ({', '.join(source.parts)}); train on it as it is, or divide all of its images "
            "again with --again"
        )
    listings = list(source.parts.values())
    columns = [name for name in listings[0].columns if all(name in listing.columns for listing in listings)]
    grouped = all(listing.groups is not None for listing in listings)
    return Pool(
        files=files,
        ids=tuple(identity for each in listings for identity in each.ids),
        labels=tuple(each.class_names[c] for each in listings for c in each.targets.tolist()),
        groups=tuple(group for each in listings for group in each.groups or ()) if grouped else None,
        columns={name: tuple(value for each in listings for value in each.columns[name]) for name in columns},
        said=(*source.reading, *source.remarks, *left_out_lines(source.left_out)),
        grouped_by=source.grouped_by,
    )
