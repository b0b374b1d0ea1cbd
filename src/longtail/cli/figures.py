"""`longtail figure`: a table and a picture for each question that is asked of runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.cli.output import say
from longtail.stopping import loading

if TYPE_CHECKING:
    import pandas as pd

    from longtail.analysis.drawing import Question
    from longtail.analysis.sources import Runs

app = typer.Typer(
    name="figure",
    help="Draw a figure of runs, and write its table. Where experts look (Grad-CAM): `longtail explain`.",
    no_args_is_help=True,
)
RunArguments = Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders that `train` made.")]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder to write into. [default: of a single run, RUN/figures]"
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace an earlier figure in DIR of -o; RUN/figures is always replaced."
    ),
]


@app.command("gradient-share")
def gradient_share(runs: RunArguments, out: Out = None, overwrite: Overwrite = False) -> None:
    """Share of the gradient that each expert gets, as training goes on (needs run.probes)."""
    with loading():
        from longtail.analysis import gradient_share as question

    found, folder = _opened("gradient-share", runs, out, overwrite=overwrite)
    _written(question, "gradient-share", question.compute(found), folder)


def _opened(name: str, paths: list[str], out: str | None, *, overwrite: bool) -> "tuple[Runs, Path]":
    """The runs, and the folder for the figure, which is free for it."""
    from longtail.analysis.sources import named_runs

    runs = named_runs(paths)
    if out is None and len(paths) > 1:
        raise typer.BadParameter("name the folder to write into, such as -o figures")
    folder = Path(paths[0]) / "figures" if out is None else Path(out)
    for run in runs.values():
        if not run.finished:
            said = f"{run.status['epoch']} of {run.status['epochs']} epochs"
            say(f"{run.path} is not finished: {said}", err=True)
    _check_free(name, folder, overwrite=overwrite or out is None)
    return runs, folder


def _check_free(name: str, folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is a file, or that has this figure already."""
    from longtail.analysis.drawing import files_of
    from longtail.types import InputError

    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder; choose another -o")
    there = next((file for file in files_of(name) if (folder / file).exists()), None)
    if there is not None and not overwrite:
        raise InputError(f"{folder / there} exists; choose another -o, or replace it with --overwrite")


def _written(question: "Question", name: str, table: "pd.DataFrame", folder: Path) -> None:
    """Write a figure; say what it lacks and where it is."""
    from longtail.analysis.drawing import write_figure

    files = write_figure(question, name, table, folder)
    for note in question.notes(table):
        say(note, err=True)
    say(*files)
