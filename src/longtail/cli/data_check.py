"""`longtail data check`: what is wrong with a set of images, before anything is trained on it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.cli.data_split import Root
from longtail.cli.output import say
from longtail.cli.runs import counting, first_line
from longtail.stopping import loading

if TYPE_CHECKING:
    from longtail.runs.folder import RunFolder

PROBLEMS = 1


def check(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="Class folders, train/val/test folders, a table, or Parquet files."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="DIR", help="Also write the full lists and a picture there."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="What belongs together: folder:DEPTH, column:NAME, regex:PATTERN, or none. "
            " [default: as the set says]",
        ),
    ] = None,
    root: Root = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with status 1 where a problem was found.")
    ] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Shorten no list.")] = False,
) -> None:
    """Count the classes, and find unreadable, odd and duplicate images and what cannot be tested."""
    say(first_line(path), err=True)
    with loading():
        from longtail.data.audit import check
        from longtail.report.data_files import write_audit
        from longtail.report.data_text import Wording, audit_lines
        from longtail.runs.folder import RunFolder

    if out is not None:
        _check_free(Path(path), Path(out))
    with counting("looking at images") as progress:
        audit = check(
            Path(path), root=None if root is None else Path(root), group_by=group_by, progress=progress
        )
    folder = None if out is None else RunFolder(out)
    wording = Wording(path, group_by, None if out is None else Path(out), show_all, root)
    typer.echo("\n".join(audit_lines(audit, wording)))
    if folder is not None:
        with _all_or_nothing(folder):
            written = write_audit(audit, folder)
        say("", f"{out}: {', '.join(written)}")
    if strict and audit.has_problems:
        raise typer.Exit(PROBLEMS)


@contextmanager
def _all_or_nothing(folder: "RunFolder") -> Iterator[None]:
    """Make a folder, and leave nothing in it where it cannot be filled."""
    is_new = not folder.path.exists()
    folder.create()
    try:
        yield
    except BaseException:
        folder.clear()
        if is_new:
            with suppress(OSError):
                folder.path.rmdir()
        raise


def _check_free(path: Path, out: Path) -> None:
    """Refuse a folder that holds something, or that a later look at the images would take for one of theirs."""
    from longtail.data.entries import refuse_among_images
    from longtail.errors import InputError

    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give -o a folder that is new or empty")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; give -o a folder that is new or empty")
    refuse_among_images(out, [str(path)])
