"""Which images belong together: a burst, a camera, a patient, read off paths or a column of a table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from longtail.data.listing import Listing, Source, part_of
from longtail.types import InputError

GRAMMAR = "folder:DEPTH, column:NAME, regex:PATTERN or none"


def group_names(spec: str, ids: Sequence[str], columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The group of each image.

    Args:
        spec: `folder:DEPTH`, the name of the DEPTH-th folder of the path, counted from 1 at the root of the images
            without a leading train, val or test folder (1 is the class folder of a tree of classes; a path that
            leads out of the root has none);
            `none`, every image is by itself; `column:NAME`, a column of the table that lists the images; or
            `regex:PATTERN`, what the pattern's brackets match in the path, or all that it matches where it has none.
        ids: N paths relative to the root of the images, with `/`.
        columns: name -> N values of each column of the table; empty where the images come without one.

    Raises:
        InputError: another spec, no such column, or images that it gives no group.

    Example:
        >>> group_names("folder:2", ["train/fox/cam1/a.jpg", "test/lynx/cam1/b.jpg"], {})
        ['cam1', 'cam1']
        >>> group_names("regex:(IMG_[0-9]+)_", ["fox/IMG_12_a.jpg", "fox/IMG_12_b.jpg"], {})
        ['IMG_12', 'IMG_12']

    """
    if spec == "none":
        return [""] * len(ids)
    kind, _, what = spec.partition(":")
    if kind == "folder" and what.isdecimal() and len(what) < 5 and int(what) > 0:
        groups = [_folder(path, int(what)) for path in ids]
    elif kind == "column" and what:
        if what not in columns:
            known = ", ".join(columns) or "none, for the images come without a table"
            raise InputError(f"--group-by {spec}: there is no column {what!r}; columns: {known}")
        groups = [str(value) for value in columns[what]]
    elif kind == "regex" and what:
        pattern = _pattern(spec, what)
        groups = [_matched(pattern, path) for path in ids]
    else:
        raise InputError(f"--group-by {spec} is not understood; give {GRAMMAR}")
    lost = [path for path, group in zip(ids, groups, strict=True) if not group]
    if lost:
        raise InputError(
            f"--group-by {spec} gives {len(lost):,} of {len(ids):,} images no group, such as {lost[0]!r}; "
            "give a rule that fits every image"
        )
    return groups


def grouped(source: Source, rule: str | None) -> Source:
    """The source with groups by a rule, in place of those that it names itself."""
    if rule is None:
        return source

    def by_rule(part: Listing | None) -> Listing | None:
        if part is None:
            return None
        groups = None if rule == "none" else tuple(group_names(rule, part.ids, part.columns))
        return replace(part, groups=groups)

    return replace(
        source, train=by_rule(source.train), val=by_rule(source.val), test=by_rule(source.test),
        grouped_by=None if rule == "none" else f"the rule {rule}",
    )  # fmt: skip


def _folder(path: str, depth: int) -> str:
    if path.startswith(("/", "../")):
        return ""
    folders = PurePosixPath(path).parts[:-1]
    if folders and part_of(folders[0]) is not None:
        folders = folders[1:]
    return folders[depth - 1] if len(folders) >= depth else ""


def _pattern(spec: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--group-by {spec} is no regular expression ({error}); mend the pattern") from None


def _matched(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.search(path)
    if found is None:
        return ""
    return "/".join(part or "" for part in found.groups()) if pattern.groups else found[0]
