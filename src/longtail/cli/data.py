"""`longtail data`: commands that work with a set of images itself."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from longtail.caller_words import COMMAND
from longtail.cli.data_check import check
from longtail.cli.data_split import Root, TwoLabels, split
from longtail.cli.output import say
from longtail.cli.runs import Strict, counting
from longtail.stopping import loading

app = typer.Typer(name="data", help="Work with a set of images itself.", no_args_is_help=True)


@app.command()
def pack(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Any source of your own images; see `longtail datasets`.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder to make.")],
    short_side: Annotated[
        int, typer.Option(metavar="N", min=1, help="Shrink images to this shorter side; none is enlarged.")
    ] = 256,
    root: Root = None,
    two_labels: TwoLabels = "refuse",
    strict: Strict = False,
) -> None:
    """Decode a set once and keep its pixels, so that training on large images need not decode them again."""
    with loading():
        from longtail.data.packing import pack
        from longtail.predict import repaired_lines, unreadable_lines

    with counting("packing") as progress:
        counts, bad, repaired, depth, said = pack(
            Path(path), Path(out), short_side=short_side, root=None if root is None else Path(root),
            two_labels=two_labels, strict=strict, progress=progress, words=COMMAND,
        )  # fmt: skip
    say(*said, err=True)
    if bad:
        typer.echo(
            f"{len(bad)} of {sum(counts.values()) + len(bad)} images could not be read and were left out:",
            err=True,
        )
        for line in unreadable_lines(bad):
            typer.echo(f"  {line}", err=True)
    for line in (*repaired_lines(repaired), *depth.lines()):
        typer.echo(line, err=True)
    parts = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    typer.echo(f"{out}: {parts} images; train on them with: longtail train {shlex.quote(out)}")


for command in (split, check):
    app.command()(command)
