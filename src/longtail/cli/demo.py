"""`longtail demo-app`: a run as a page in the browser."""

import time
from typing import Annotated, Literal

import typer

from longtail.cli.runs import RunArgument
from longtail.stopping import loading


def demo_app(
    run: RunArgument,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=65535, help="[default: the first free one from 7860]"),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 lets other computers in.")
    ] = "127.0.0.1",
    share: Annotated[
        Literal["yes", "no"],
        typer.Option(metavar="yes|no", help="A public link, through gradio's servers."),
    ] = "no",
) -> None:
    """Open a page that names what an image shows, with votes and heat maps; Ctrl-C ends it."""
    with loading():
        from longtail.demo_app import load_gradio, start
        from longtail.predict import load_run

        load_gradio()

    running = start(load_run(run), host=host, port=port, share=share == "yes")
    try:
        typer.echo(f"open {running.url}" + (f" or {running.public_url}" if running.public_url else ""))
        typer.echo("Ctrl-C ends it")
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
    finally:
        running.stop()
