"""What `longtail data check` says of a set of images, as lines of text for a terminal."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from longtail.data.audit import Audit, Duplicates
from longtail.data.dataset import counted
from longtail.data.holdout import HELD_OUT, no_validation
from longtail.data.left_out import left_out_items
from longtail.data.repairing import REPAIRED
from longtail.data.rows import TORN
from longtail.data.shapes import suggest_fit
from longtail.metrics import class_groups
from longtail.printable import printable
from longtail.report.places import train_command
from longtail.runs import layout
from longtail.runs.groups import ENOUGH, FEW_BELOW, GROUPS, MANY_ABOVE
from longtail.text_table import table_lines

PART_NAMES = {"train": "train", "val": "validation", "test": "test"}
_CLASSES, _NAMES = 20, 5  # rows of the table, and names in a list, that are shown without `all`
_LONGEST = 40  # letters of a class's name in the table
_STEPS = 6  # lines under "What to do"


@dataclass(frozen=True)
class Wording:
    """The wording of an audit.

    Attributes:
        path: what was checked, as it was given.
        group_by: the rule for groups, if one was given.
        out: the folder with the full lists, if there is one.
        show_all: shorten nothing.
        root: where the paths of a table start, if that was given.
    """

    path: str
    group_by: str | None = None
    out: Path | None = None
    show_all: bool = False
    root: str | None = None

    def name(self, name: str) -> str:
        """A class's name, cut where it is very long."""
        return name if self.show_all or len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"

    def list(self, names: Sequence[str]) -> str:
        """Names on one line; the rest is counted."""
        shown = [printable(name) for name in (names if self.show_all else names[:_NAMES])]
        rest = len(names) - len(shown)
        return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def groups_of(audit: Audit) -> dict[str, str]:
    """Class -> many, medium or few, the largest class first."""
    train = audit.counts.get("train", {})
    counts = torch.tensor([train[name] for name in audit.classes], dtype=torch.int64)
    return dict(zip(audit.classes, class_groups(counts, MANY_ABOVE, FEW_BELOW), strict=True))


def audit_lines(audit: Audit, wording: Wording) -> list[str]:
    """Everything that was found, the counts first and what to do last."""
    sections = (_parts, _classes, _files, _duplicates, _tests, _groups, _next_steps)
    return [line for section in sections for line in section(audit, wording)]


def _parts(audit: Audit, wording: Wording) -> Iterator[str]:
    yield f"Images of {printable(wording.path)}"
    rows = [
        ("all, not divided" if audit.is_flat else PART_NAMES[part], f"{sum(counts.values()):,}",
         f"{sum(count > 0 for count in counts.values()):,}")
        for part, counts in audit.counts.items()
    ]  # fmt: skip
    yield from table_lines(("split", "images", "classes"), rows)
    yield from map(printable, audit.remarks)


def _classes(audit: Audit, wording: Wording) -> Iterator[str]:
    if not audit.classes:
        return
    yield ""
    groups, train = groups_of(audit), audit.counts["train"]
    header = ("class", "group", *("images" if audit.is_flat else PART_NAMES[part] for part in audit.counts))
    rows = [
        (wording.name(name), group, *(f"{counts[name]:,}" for counts in audit.counts.values()))
        for name, group in groups.items()
    ]
    hidden = 0 if wording.show_all else len(rows) - _CLASSES
    if hidden > 0:
        half = _CLASSES // 2
        rows = [*rows[:half], (f"... {hidden:,} more", *([""] * (len(header) - 1))), *rows[-half:]]
    yield from table_lines(header, rows, left=(0, 1))
    first, last = (audit.classes[end] for end in (0, -1))
    names = [printable(wording.name(name)) for name in (first, last)]
    if len(audit.classes) > 1:
        yield (
            f"Imbalance factor {train[first] / train[last]:,.1f}: {train[first]:,} images of {names[0]}, "
            f"{train[last]:,} of {names[1]}."
        )
    said = (f"more than {MANY_ABOVE} images", f"{FEW_BELOW} to {MANY_ABOVE}", f"fewer than {FEW_BELOW}")
    sizes = [sum(group == name for group in groups.values()) for name in GROUPS]
    parts = [f"{name} ({what}): {size:,}" for name, what, size in zip(GROUPS, said, sizes, strict=True)]
    yield f"Classes: {', '.join(parts)}."


def _files(audit: Audit, wording: Wording) -> Iterator[str]:
    yield "\nFiles"
    if not audit.unreadable:
        yield "Every image can be read."
    else:
        bad = [f"{path} ({reason})" for path, reason in audit.unreadable]
        yield f"{counted(len(bad), 'image')} cannot be read: {wording.list(bad)}"
    if audit.repaired:
        damaged = [f"{path} ({what})" for path, what in audit.repaired]
        yield f"{counted(len(damaged), 'image')} {REPAIRED}: {wording.list(damaged)}"
    if audit.left_out:
        yield f"{audit.files.line()}:"
    yield from map(printable, left_out_items(audit.left_out))
    kinds: dict[str, list[str]] = defaultdict(list)
    for path, reason in audit.suspicious:
        kind, bracket, detail = reason.partition(" (")
        kinds[kind].append(f"{path}{bracket}{detail}")
    for kind, paths in sorted(kinds.items(), key=lambda item: -len(item[1])):
        yield f"{counted(len(paths), 'image')} {kind}: {wording.list(paths)}"


def _duplicates(audit: Audit, wording: Wording) -> Iterator[str]:
    yield "\nDuplicates"
    if not audit.duplicates:
        yield "No image is there twice, and no two look alike."
        return
    for kind, what in (("exact", "that are the same"), ("near", "that look alike")):
        sets = [found for found in audit.duplicates if found.kind == kind]
        if not sets:
            continue
        images = len({path for found in sets for path in found.paths})
        across, torn = sum(found.leaks for found in sets), sum(found.conflicts for found in sets)
        sorts = [
            f"{number:,} {text}"
            for number, text in ((across, "across splits"), (torn, "with different labels"))
            if number
        ]
        yield f"{counted(images, 'image')} {what}, in {counted(len(sets), 'set')}" + (
            f" ({', '.join(sorts)})" if sorts else ""
        )
        shown = sets if wording.show_all else sets[:_NAMES]
        yield from (f"  {_as_text(found, wording)}" for found in shown)
        if len(sets) > len(shown):
            yield f"  and {counted(len(sets) - len(shown), 'more set')}"


def _as_text(found: Duplicates, wording: Wording) -> str:
    marks = [mark for mark, applies in (("LEAK", found.leaks), ("LABELS DIFFER", found.conflicts)) if applies]
    names = [f"{path} [{label}]" for path, label in zip(found.paths, found.classes, strict=True)]
    said = f"{', '.join(marks)}{': ' if marks else ''}{wording.list(names)}"
    if len(names) > 2:  # which of them show it
        said += f"; across splits {found.shown(found.leak, found.splits)}" if found.leak else ""
        said += f"; across labels {found.shown(found.conflict, found.classes)}" if found.conflict else ""
    return said


def _tests(audit: Audit, wording: Wording) -> Iterator[str]:
    yield "\nTesting"
    if audit.held_out:
        yield f"There is no test split. Where {HELD_OUT:.0%} of each class is held out, as training does:"
    said = [
        (audit.not_tested, "not tested, without an image to test on"),
        (audit.too_small, f"with too few images to say, fewer than {ENOUGH} to test on"),
        (audit.single_image, "with a single training image"),
        (list(audit.unknown_classes), "without a training image, which no model can name"),
        (audit.empty_classes, "without any readable image, left out"),
    ]
    found = [f"{counted(len(names), 'class')} {text}: {wording.list(names)}" for names, text in said if names]
    yield from found or [f"Every class has at least {ENOUGH} images to test on."]
    if "test" in audit.counts and "val" not in audit.counts:
        yield f"The set {no_validation(wording.path, divisible=audit.is_divisible)}"


def _groups(audit: Audit, wording: Wording) -> Iterator[str]:
    if audit.num_groups is None:
        return
    yield f"\nGroups by {wording.group_by or 'the set itself'}"
    if not audit.leaking_groups:
        yield f"None of {counted(audit.num_groups, 'group')} lies in several splits."
        return
    groups = [
        f"{one.group} ({one.images:,} images in {', '.join(one.splits)})" for one in audit.leaking_groups
    ]
    yield f"{len(groups):,} of {counted(audit.num_groups, 'group')} in several splits: {wording.list(groups)}"


def _next_steps(audit: Audit, wording: Wording) -> Iterator[str]:
    yield "\nWhat to do"
    check, full, split = _commands(audit, wording)
    untested = len(set(audit.not_tested) | set(audit.single_image))
    steps = [
        (len(audit.leaking_groups), "group", "in several splits, divide again", split),
        (len(audit.leaks), "set", "of duplicates across splits, keep each in one split", full),
        (len(audit.conflicts), "set", "of duplicates with different labels, look which is right", full),
        (len(audit.unreadable), "image", "unreadable, repair or remove", f"{check} --all"),
        (_named(audit), "group", "suggested by file names, keep each in one split if they are real", split),
        (untested, "class", "without a test, add images or divide again", split),
        (len(audit.unknown_classes), "class", "without training images, add some or divide again", split),
    ]  # fmt: skip
    within = sum(not (one.leaks or one.conflicts) for one in audit.duplicates)
    text = "of duplicates within one split, where they stay; remove what counts twice"
    once = "without a test split, divide it once for all runs"
    steps += [(within, "set", text, full), (_undivided(audit, wording, untested), "set", once, split)]
    lines = [f"{counted(number, noun)} {text}: {command}" for number, noun, text, command in steps if number]
    if len(audit.classes) > 1:
        last = f"to train on{_kept(audit)}: {_train(audit, wording)}"
        if wording.group_by and audit.is_flat and audit.is_divisible:  # training would divide these groups
            last = f"to train on, divide them by their groups first: {split}"
        lines = [*lines[: _STEPS - 1], f"{counted(len(audit.classes), 'class')} {last}"]
    else:
        lines.append(
            f"{counted(len(audit.classes), 'class')} to train on, two are needed, add another: {check}"
        )
    yield from (f"{number}. {line}" for number, line in enumerate(lines[:_STEPS], 1))


def _named(audit: Audit) -> int:
    return len(set(audit.name_groups.names)) if audit.name_groups else 0


def _undivided(audit: Audit, wording: Wording, untested: int) -> int:
    """1 where a table could divide a set that has no splits, and no other line says how."""
    is_one = audit.held_out and audit.is_divisible and len(audit.classes) > 1
    return int(bool(is_one) and not (untested or wording.group_by or audit.name_groups))


def _commands(audit: Audit, wording: Wording) -> tuple[str, str, str]:
    """The commands that check the set, show all its duplicates, and divide it again."""
    place = shlex.quote(wording.path)
    if wording.root is not None:
        place += f" --root {shlex.quote(wording.root)}"
    check, full = f"longtail data check {place}", f"longtail data check {place} -o audit"
    if wording.out is not None:
        full = f"less {shlex.quote(str(wording.out / layout.DUPLICATES))}"
    if not audit.is_divisible:
        return check, full, full
    split = f"longtail data split {place} -o {layout.SPLITS}" + ("" if audit.is_flat else " --again")
    split += " --two-labels leave_out" if _is_torn(audit) else ""
    rule = wording.group_by or (audit.name_groups.rule if audit.name_groups else None)
    return check, full, split + (f" --group-by {shlex.quote(rule)}" if rule else "")


def _kept(audit: Audit) -> str:
    """What training does by itself about what was found."""
    said = []
    if audit.bursts:
        said.append(f"keeping {counted(audit.bursts, 'burst')} in one split each")
    if audit.shapes is not None and (fit := suggest_fit(audit.shapes)[0]) != "crop":
        said.append(f"with --fit {fit} unless the search finds another better")
    return f", {', '.join(said)}" if said else ""


def _train(audit: Audit, wording: Wording) -> str:
    root = {} if wording.root is None else {"data.root": wording.root}
    torn = {"data.two_labels": "leave_out"} if _is_torn(audit) else {}
    return train_command(wording.path, root | torn)


def _is_torn(audit: Audit) -> bool:
    """Whether it has images with two labels, which commands other than the check refuse."""
    return any(one.reason == TORN for one in audit.left_out)
