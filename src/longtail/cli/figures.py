"""`longtail figure`: a table and a picture for each question that is asked of runs."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.cli.output import say
from longtail.runs import layout
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
RunArguments = Annotated[list[str], typer.Argument(metavar="RUN", help="Run folders that `train` made.")]
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
    """Share of the gradient of each expert, by epoch.

    The paper's Figures 1 and 3a; of runs trained with run.probes=["gradient_share"].
    """
    _draw("gradient-share", runs, out, overwrite=overwrite)


@app.command("expert-kl")
def expert_kl(runs: RunArguments, out: Out = None, overwrite: Overwrite = False) -> None:
    """How far experts' predictions lie apart.

    The paper's Figure 3b: KL divergence by class and by group; as the run noted it with run.probes, else measured now.
    """
    _draw("expert-kl", runs, out, overwrite=overwrite)


@app.command("tsne")
def tsne(runs: RunArguments, out: Out = None, overwrite: Overwrite = False) -> None:
    """t-SNE of the features of ten classes.

    The paper's Figure 5: the classes are equally spaced in the order of training images.
    """
    _draw("tsne", runs, out, overwrite=overwrite)


@app.command("grid")
def grid(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS", help="Result files of a study, or the folder of its results or runs."
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder to write into.")],
    overwrite: Overwrite = False,
) -> None:
    """Scores of a study over two settings.

    The paper's Figure 4, where these are t_AD and t_CL.
    """
    with loading():
        from longtail.analysis import grid as question
        from longtail.analysis.drawing import check_free

    folder = Path(out)
    check_free("grid", folder, overwrite=overwrite)
    _write(question, "grid", question.compute(question.results_in(results)), folder)


@app.command("expert-errors")
def expert_errors(runs: RunArguments, out: Out = None, overwrite: Overwrite = False) -> None:
    """Disagreement and correlated errors of experts."""
    _draw("expert-errors", runs, out, overwrite=overwrite)


@app.command("class-size")
def class_size(runs: RunArguments, out: Out = None, overwrite: Overwrite = False) -> None:
    """Accuracy against the size of classes."""
    _draw("class-size", runs, out, overwrite=overwrite)


@app.command("shifted-mix")
def shifted_mix(
    runs: RunArguments,
    out: Out = None,
    overwrite: Overwrite = False,
    prior_known: Annotated[
        bool,
        typer.Option(
            "--prior-known",
            help="Also predict with each class prior known, as --prior does; asks the network.",
        ),
    ] = False,
) -> None:
    """Accuracy where classes come in other shares.

    Long tails forward and backward, of factors 50 to 2, and uniform; by weighting the recalls of classes.
    """
    with loading():
        from longtail.analysis import shifted_mix as question
        from longtail.analysis.asking import known_mixes

    found, folder = _opened("shifted-mix", runs, out, overwrite=overwrite)
    known = {name: known_mixes(run) for name, run in found.items()} if prior_known else {}
    _write(question, "shifted-mix", question.compute(found, known), folder)


@app.command("calibration")
def calibration(runs: RunArguments, out: Out = None, overwrite: Overwrite = False) -> None:
    """Calibration (ECE) by group of classes."""
    _draw("calibration", runs, out, overwrite=overwrite)


def _draw(name: str, paths: list[str], out: str | None, *, overwrite: bool) -> None:
    """Draw the figure of that name of runs, without further options."""
    with loading():
        question = import_module(f"longtail.analysis.{name.replace('-', '_')}")

    runs, folder = _opened(name, paths, out, overwrite=overwrite)
    _write(question, name, question.compute(runs), folder)


def _opened(name: str, paths: list[str], out: str | None, *, overwrite: bool) -> "tuple[Runs, Path]":
    """The runs, and the folder for the figure, which is free for it."""
    from longtail.analysis.drawing import check_free
    from longtail.analysis.sources import named_runs
    from longtail.data.entries import refuse_among_images

    runs = named_runs(paths)
    if out is None and len(paths) > 1:
        raise typer.BadParameter("name the folder to write into, such as -o figures")
    folder = Path(paths[0]) / layout.FIGURES if out is None else Path(out)
    for run in runs.values():
        data = run.recipe["data"].get("path")
        if out is not None and data is not None:
            refuse_among_images(folder, [data])
        if not run.finished:
            said = f"{run.status['epoch']} of {run.status['epochs']} epochs"
            say(f"{run.path} is not finished: {said}", err=True)
    check_free(name, folder, overwrite=overwrite or out is None)
    return runs, folder


def _write(question: "Question", name: str, table: "pd.DataFrame", folder: Path) -> None:
    """Write a figure; say what it lacks and where it is."""
    from longtail.analysis.drawing import write_figure

    files = write_figure(question, name, table, folder)
    for note in question.notes(table):
        say(note, err=True)
    say(*files)
