"""The command that writes a run as a file to deploy: parsing, one call, and what a person reads."""

from typing import Annotated

import typer

from longtail.cli.runs import RunArgument
from longtail.runs import layout
from longtail.stopping import loading


def export(
    run: RunArgument,
    format_: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="onnx, pt2 (torch.export), or folder (save_pretrained style)."
        ),
    ] = "onnx",
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help=f"File or folder. [default: in the run's {layout.EXPORTS}/]"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Images to compare on. [default: the run's own]"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write a run as a file to deploy, and compare it with the run on real images."""
    with loading():
        from longtail.data.dataset import counted
        from longtail.export import export as write

    made = write(run, format_, out, data=data, overwrite=overwrite)
    if made.note:
        typer.echo(made.note, err=True)
    typer.echo(f"{made.path}: {made.summary}")
    typer.echo(
        f"agrees with the run on {counted(made.agreement.images, 'image')}: "
        f"probabilities differ by at most {made.agreement.difference:.1e}"
    )
    if made.card is not None:
        typer.echo(f"{made.card}: a model card; its owner fills in the intended use and the licence")
