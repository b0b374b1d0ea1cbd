"""The command that names what images show: parsing, one call, and what a person reads."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.cli.runs import RunArgument, Strict, loading

if TYPE_CHECKING:
    import pandas as pd

    from longtail.predict import Predictor, Unreadable


def predict(
    run: RunArgument,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Images, folders of images, or - for a list of paths on stdin."
        ),
    ],
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE", help="CSV file. [default: standard output]")
    ] = None,
    top_k: Annotated[int, typer.Option(metavar="N", min=1, help="Classes named for each image.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    strict: Strict = False,
) -> None:
    """Name what images show, with confidence and each expert's vote."""
    with loading():
        from longtail.cli.csv_file import check_free, write_csv, write_table
        from longtail.data import find_images
        from longtail.predict import load, unreadable_error, unreadable_lines

    file = None if out in (None, "-") else Path(str(out))
    if file is not None:
        check_free(file, overwrite=overwrite)
    paths = find_images(_listed(sources))
    classifier = load(run)
    bad: "Unreadable" = []
    if classifier.note:
        _print([classifier.note], err=True)

    def check() -> None:
        if bad and (strict or len(bad) == len(paths)):
            raise unreadable_error(bad)

    tables = _with_progress(classifier, paths, bad, top_k)
    if file is not None:
        rows = write_csv(tables, file, overwrite=overwrite, check=check)
    else:
        rows = sum(write_table(table, sys.stdout, header=number == 0) for number, table in enumerate(tables))
        check()
    if bad:
        _print([f"{len(bad)} of {len(paths)} images could not be read and were skipped:"], err=True)
        _print([f"  {line}" for line in unreadable_lines(bad)], err=True)
    if file is not None:
        _print([f"{rows} prediction{'s' * (rows != 1)} in {file}"], err=True)


def _listed(sources: Sequence[str]) -> list[str]:
    """The sources, with - replaced by the paths on standard input: one a line, or separated by NUL."""
    found: list[str] = []
    for source in sources:
        if source != "-":
            found.append(source)
            continue
        content = sys.stdin.buffer.read() if sys.stdin else b""
        separator = b"\0" if b"\0" in content else b"\n"
        found += [os.fsdecode(line.removesuffix(b"\r")) for line in content.split(separator) if line.strip()]
    if not found:
        raise typer.BadParameter("no paths on standard input; write one a line")
    return found


def _with_progress(
    classifier: "Predictor", paths: list[Path], bad: "Unreadable", top_k: int
) -> Iterator["pd.DataFrame"]:
    """The tables of predictions, with a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task, done = bar.add_task("predicting", total=len(paths)), 0
        for table in classifier.stream(paths, bad, top_k=top_k):
            yield table
            done += len(table)
            bar.update(task, completed=done + len(bad))


def _print(lines: Sequence[object], *, err: bool = False) -> None:
    for line in lines:
        typer.echo(str(line), err=err)
