"""`longtail data split`: a table that says which image is for training, validation and test."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from longtail.cli.output import say
from longtail.cli.runs import counting
from longtail.stopping import loading

if TYPE_CHECKING:
    from longtail.data.dividing import Division

Root = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Where the paths of a table start. [default: its own folder]"),
]
TwoLabels = Annotated[
    Literal["refuse", "leave_out"],
    typer.Option(help="Images to which a table, list or annotations give two labels or more."),
]
SHOWN = 20  # classes at each end of a long table


def split(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Class folders, a table, lists or annotations of images.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="CSV file to write.")],
    test: Annotated[float, typer.Option(metavar="SHARE", help="Share of each class to test on.")] = 0.2,
    val: Annotated[float, typer.Option(metavar="SHARE", help="Share of each class to validate on.")] = 0.0,
    min_test: Annotated[
        int, typer.Option(metavar="N", help="Test images of each class, if that is no more than half of it.")
    ] = 1,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Keep groups together: folder:DEPTH, column:NAME, regex:PATTERN, or none. "
            "[default: a table's column group, the location or seq_id of camera traps]",
        ),
    ] = None,
    group_copies: Annotated[
        bool,
        typer.Option(
            "--group-copies/--no-group-copies",
            help="Keep identical images, those that look alike, and bursts in one split.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Draws the images.")] = 0,
    root: Root = None,
    two_labels: TwoLabels = "refuse",
    again: Annotated[
        bool, typer.Option("--again", help="Divide a set again that is divided already.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Divide images into train, val and test, class by class, and write down which is where."""
    with loading():
        from longtail.data.dividing import divide
        from longtail.runs.atomic_write import atomic_write, check_free
        from longtail.types import InputError

    file = Path(out)
    check_free(file, overwrite=overwrite)
    if file.suffix.lower() != ".csv":
        raise InputError(
            f"-o {out} does not end in .csv, by which a table is known; give {file.with_suffix('.csv')}"
        )
    with counting("looking at images") as progress:
        found = divide(
            Path(path), file.parent, test=test, val=val, min_test=min_test, group_by=group_by, seed=seed,
            root=None if root is None else Path(root), again=again, two_labels=two_labels,
            group_copies=group_copies, progress=progress,
        )  # fmt: skip
    with atomic_write(file, "then repeat the command, or choose another -o") as partial:
        found.write(partial)
    chosen = [f"test {test:g} of each class, at least {min_test}" * (test > 0), f"val {val:g}" * (val > 0)]
    by = "" if found.groups is None else f", by {group_by or found.grouped_by or 'the set itself'}"
    lines = [
        *found.said,
        *_table(found),
        "",
        f"{', '.join(filter(None, chosen))}{by}, seed {seed}",
        *_unmet(found, "test" if test else "validation"),
        *_by_name(found),
    ]
    say(
        *lines,
        f"{out}: {len(found.paths):,} images; train on them with: longtail train {shlex.quote(out)}",
    )


def _table(found: "Division") -> list[str]:
    """Images of each class in each split, the largest class first; of many classes both ends."""
    from longtail.printable import printable

    rows = [(printable(name), *n) for name, n in sorted(found.counts.items(), key=lambda c: -sum(c[1]))]
    totals = [sum(n[part] for n in found.counts.values()) for part in range(3)]
    width = max(5, *(len(name) for name, *_ in rows))
    lines = [f"{name:<{width}}{a:>8,}{b:>8,}{c:>8,}" for name, a, b, c in rows]
    if len(lines) > 2 * SHOWN + 1:
        lines[SHOWN:-SHOWN] = [f"... {len(lines) - 2 * SHOWN:,} more classes ..."]
    header = f"{'class':<{width}}{'train':>8}{'val':>8}{'test':>8}"
    return [header, *lines, f"{'all':<{width}}{totals[0]:>8,}{totals[1]:>8,}{totals[2]:>8,}"]


def _by_name(found: "Division") -> list[str]:
    """What to do where names seem to hold groups that were divided."""
    if found.name_groups is None:
        return []
    said, rule = found.name_groups.said(), shlex.quote(found.name_groups.rule)
    return [f"{said}; to keep each in one split, repeat the command with: --group-by {rule} --overwrite"]


def _unmet(found: "Division", evaluated: str) -> list[str]:
    """What could not be had, class by class."""
    from longtail.printable import printable

    lines = [
        (f"without a {evaluated} image", [f"{n} ({why})" for n, why in found.not_evaluated.items()]),
        ("fewer test images than asked for", [f"{n} ({count})" for n, count in found.below.items()]),
        ("files that do not exist, left out", list(found.missing)),
        ("files that cannot be read, left out", [f"{name} ({reason})" for name, reason in found.unreadable]),
    ]
    said = []
    for text, names in lines:
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        if names:
            said.append(f"{text}: {', '.join(map(printable, names[:SHOWN]))}{more}")
    return said
