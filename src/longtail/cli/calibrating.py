"""`longtail calibrate`: honest confidences of a run."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from longtail.caller_words import COMMAND
from longtail.cli.runs import RunArgument, Strict, note
from longtail.runs import layout
from longtail.stopping import loading


def calibrate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Images the run was not trained on, in any form that `train` takes. [default: its validation split]",
        ),
    ] = None,
    strict: Strict = False,
) -> None:
    """Fit the temperature that makes a run's confidences honest, and keep it with the weights."""
    with loading():
        from longtail.predict import load_run

    classifier = load_run(run, words=COMMAND)
    note(classifier)
    before, found = classifier.temperature, classifier.fit_temperature(data, strict=strict)
    typer.echo(
        f"temperature {found.temperature:.3f} (before: {before:.3f}), fitted on {found.images}: {found.fit.basis}"
    )
    for line in found.lines():
        typer.echo(line)
    typer.echo(f"bring {layout.evaluation('')}/ up to date with: longtail evaluate {shlex.quote(run)}")
    exports = Path(run) / layout.EXPORTS
    if exports.is_dir() and any(exports.iterdir()):
        typer.echo(f"{exports} keeps the temperature from before; export again with --overwrite")
