"""Which images belong together: a burst, a camera, a patient, read off paths or a column of a table."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath

from longtail.data.dataset import counted
from longtail.data.listing import PARTS, Listing, Source, part_of
from longtail.types import InputError

_SHOWN = 3  # groups, and classes of one, that are named
GRAMMAR = "folder:DEPTH, column:NAME, regex:PATTERN or none"


def group_names(spec: str, ids: Sequence[str], columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The group of each image.

    Args:
        spec: `folder:DEPTH`, the name of the DEPTH-th folder of the path, counted from 1 at the root of the images
            without a leading train, val or test folder (1 is the class folder of a tree of classes; a path that
            leads out of the root has none);
            `none`, every image is by itself; `column:NAME`, a column of the table that lists the images, in which an
            image without a value is by itself; or
            `regex:PATTERN`, what the pattern's brackets match in the path, or all that it matches where it has none.
        ids: N paths relative to the root of the images, with `/`.
        columns: name -> N values of each column of the table; empty where the images come without one.

    Returns:
        N names; "" is an image by itself.

    Raises:
        InputError: another spec, no such column, or images that it gives no group: with a column all of them.

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
        groups = [value if value.strip() else "" for value in map(str, columns[what])]
    elif kind == "regex" and what:
        pattern = _pattern(spec, what)
        groups = [_matched(pattern, path) for path in ids]
    else:
        raise InputError(f"--group-by {spec} is not understood; give {GRAMMAR}")
    lost = [path for path, group in zip(ids, groups, strict=True) if not group]
    if lost and (kind != "column" or len(lost) == len(ids)):
        raise InputError(
            f"--group-by {spec} gives {len(lost):,} of {len(ids):,} images no group, such as {lost[0]!r}; "
            "give a rule that fits every image"
        )
    return groups


def said_of_lone(rule: str, groups: Sequence[str]) -> list[str]:
    """What to say of images to which a rule gives no group, so that each is by itself; nothing where there are none.

    >>> said_of_lone("column:camera", ["a", "", "a"])
    ['1 of 3 images has no value in the column camera and is a group of its own']
    """
    kind, _, column = rule.partition(":")
    lone = sum(not group for group in groups)
    if kind != "column" or not lone:
        return []
    are = (
        "has no value in the column {} and is a group"
        if lone == 1
        else "have no value in the column {}: each is a group"
    )
    return [f"{lone:,} of {counted(len(groups), 'image')} {are.format(column)} of its own"]


def said_of_spanning(groups: Sequence[str], labels: Sequence[str]) -> list[str]:
    """What to say of groups with images of several classes, which go to one split together; the largest are named.

    Args:
        groups: N names, "" for an image by itself.
        labels: N classes.

    >>> said_of_spanning(["cam1", "cam1", "cam1", "cam2", ""], ["fox", "owl", "fox", "fox", "owl"])
    ['1 of 2 groups has images of several classes, which go to one split together: cam1 (fox 2, owl 1)']
    """
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        if group:
            held[group][label] += 1
    wide = {group: classes for group, classes in held.items() if len(classes) > 1}
    if not wide:
        return []
    largest = sorted(wide, key=lambda group: (-wide[group].total(), group))
    examples = [f"{group} ({_most(wide[group])})" for group in largest[:_SHOWN]]
    more = f" and {len(wide) - _SHOWN:,} more" if len(wide) > _SHOWN else ""
    return [
        f"{len(wide):,} of {counted(len(held), 'group')} {'has' if len(wide) == 1 else 'have'} images of several "
        f"classes, which go to one split together: {', '.join(examples)}{more}"
    ]


def _most(classes: Counter[str]) -> str:
    more = f" and {len(classes) - _SHOWN:,} more" if len(classes) > _SHOWN else ""
    return ", ".join(f"{name} {count:,}" for name, count in classes.most_common(_SHOWN)) + more


def grouped(source: Source, rule: str | None) -> Source:
    """The source with groups by a rule, in place of those that it names itself."""
    if rule is None:
        return source

    parts = source.parts
    if rule == "none":
        return _with_parts(source, {name: replace(part, groups=None) for name, part in parts.items()}, None)
    listings = list(parts.values())
    shared = [name for name in listings[0].columns if all(name in part.columns for part in listings)]
    columns = {name: [value for part in listings for value in part.columns[name]] for name in shared}
    groups = group_names(rule, [identity for part in listings for identity in part.ids], columns)
    taken = iter(groups)
    found = {name: replace(part, groups=tuple(islice(taken, len(part.ids)))) for name, part in parts.items()}
    source = replace(source, reading=(*source.reading, *said_of_lone(rule, groups)))
    return _with_parts(source, found, f"the rule {rule}")


def _with_parts(source: Source, parts: Mapping[str, Listing], by: str | None) -> Source:
    train, val, test = (parts.get(part) for part in PARTS)
    return replace(source, train=train, val=val, test=test, grouped_by=by)


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
        raise InputError(
            f"--group-by {spec} is no regular expression ({error}); correct the pattern"
        ) from None


def _matched(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.search(path)
    if found is None:
        return ""
    return "/".join(part or "" for part in found.groups()) if pattern.groups else found[0]
