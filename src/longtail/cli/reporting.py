"""The command that tells how good a run is: in the terminal, in plots, and as a page for a browser."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.cli.output import say
from longtail.cli.runs import RunArgument
from longtail.runs import layout
from longtail.stopping import loading

IMAGES = ("none", "errors", "all")


def shown_images(word: str) -> str:
    """Which images the page shows."""
    if word not in IMAGES:
        raise typer.BadParameter(f"--images {word!r} is none of {', '.join(IMAGES)}")
    return word


def report(
    run: RunArgument,
    images: Annotated[
        str,
        typer.Option(
            metavar="none|errors|all",
            parser=shown_images,
            help=f"Which images {layout.REPORT} shows: none, those wrongly named, or right ones beside them.",
        ),
    ] = "all",
    open_: Annotated[bool, typer.Option("--open", help=f"Open {layout.REPORT} in the browser.")] = False,
) -> None:
    """Print a run's scores by class size, draw plots, and write report.html."""
    with loading():
        from longtail.report import plot, report_lines, write_page
        from longtail.report.discovery import collect
        from longtail.runs import Run

    found = Run(run)
    facts = collect(found)
    say(*report_lines(found, facts), "")
    page = write_page(found, facts, images=images)
    for name in (*found.evaluation_files(), *plot(found, facts), page):
        say(found.path / name)
    if open_:
        _open((found.path / page).resolve())


def _open(file: Path) -> None:
    import webbrowser

    if not webbrowser.open(file.as_uri()):
        typer.echo(f"no browser could be started here; open {layout.REPORT} in one yourself", err=True)
