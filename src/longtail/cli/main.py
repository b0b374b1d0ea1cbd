"""`longtail`: the commands, and what becomes of errors. Nothing heavy is imported before a command runs."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from longtail.stopping import Stop, handled_by, loading

with loading():
    import typer

    from longtail.cli import (
        caching,
        calibrating,
        data,
        demo,
        explaining,
        exporting,
        figures,
        listing,
        predicting,
        reporting,
        runs,
        studying,
    )
    from longtail.cli.output import say, screens
    from longtail.errors import InputError, LocalInputError
    from longtail.printable import shortened

REFUSED, INTERRUPTED = 2, 130

app = typer.Typer(
    name="longtail",
    help="Train image classifiers that do not fail on rare classes, and know how well they do on each.",
    epilog="Begin with: longtail train icl-digits",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
COMMANDS: tuple[Callable[..., None], ...] = (
    *(runs.train, runs.evaluate, predicting.predict, calibrating.calibrate, reporting.report, runs.compare),
    studying.bench,
    *(explaining.explain, exporting.export, demo.demo_app),
    caching.cache,
    *(listing.methods, listing.models, listing.recipes, listing.datasets, listing.doctor),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(data.app)
app.add_typer(figures.app)


def _version(wanted: bool) -> bool:
    if wanted:
        from longtail import __version__

        typer.echo(f"longtail {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options before a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after `longtail`; default: those of this process.

    Returns:
        0 done, 1 a check found problems, 2 refused (a line `error: ...` on standard error), 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    is_closed = sys.stdout is None
    _settle_libraries()
    stop = Stop()
    with screens(), handled_by(stop):
        if fault := _unusable(words, is_closed):
            _say(f"error: {fault}")
            return REFUSED
        try:
            return _run(words)
        except KeyboardInterrupt as interrupt:
            return _interrupted(str(interrupt))
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            return 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1
        except Exception as error:
            if stop.requested:  # libraries turn the interruption into errors of their own
                return _interrupted()
            lines = list(map(shortened, explain(error)))
            if not lines:
                raise
            if runs.is_first() or not _is_known_to_all(error):
                _say(f"error: {lines[0]}", *(f"  {line}" for line in lines[1:]))
            return REFUSED


def _settle_libraries() -> None:
    """Nothing is shown in a window, so the user's choice of one cannot end a command; advice of libraries stays away.

    Their loggers warn of caches in a home folder that cannot be written, which changes no result.
    """
    os.environ["MPLBACKEND"] = "agg"
    for name in ("matplotlib", "huggingface_hub", "timm"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _unusable(words: Sequence[str], is_closed: bool) -> str | None:
    if is_closed:
        return "standard output is closed; open it, or send it away with > /dev/null"
    if "" in words:
        return "an empty word was given, perhaps an unset variable; name what is meant, or . for this folder"
    return None


def _run(words: Sequence[str]) -> int:
    """The command's exit status, once all that it printed has left."""
    _refuse_processes(words)
    try:
        with typer.main.get_command(app).make_context("longtail", list(words), color=True) as context:
            context.command.invoke(context)
        code = 0
    except typer.Exit as end:
        code = end.exit_code
    sys.stdout.flush()
    return code


def _interrupted(said: str = "") -> int:
    if runs.is_first():
        _say(said or "interrupted")
    return INTERRUPTED


def _refuse_processes(words: Sequence[str]) -> None:
    """Refuse, under a launcher of several processes, every command but `train`."""
    command = next((word for word in words if not word.startswith("-")), "train")
    count = runs.launched_processes()
    if command != "train" and count > 1:
        raise InputError(
            f"{count} processes were started, and {command} runs in one; start it without a launcher"
        )


def _is_known_to_all(error: Exception) -> bool:
    """Whether every process has met this error, so that one line is enough."""
    refused = isinstance(error, InputError) or hasattr(error, "format_message")
    return refused and not isinstance(error, LocalInputError)


def explain(error: Exception) -> list[str]:
    """What to say of an error that the user can do something about, first the message; empty for a fault of our own."""
    if isinstance(error, InputError):
        return [" ".join(str(error).split()), *error.details]
    if hasattr(error, "format_message"):
        return [_usage(error)]
    from longtail.machine import WRITTEN, cure_of, is_out_of_memory, lacks_resources

    if is_out_of_memory(error):
        return ["out of memory; lower optim.batch_size and run.evaluate_batch_size with --set"]
    if isinstance(error, OSError) and (error.filename is not None or error.errno is not None):
        place = "the file system" if error.filename is None else error.filename
        elsewhere = "" if lacks_resources(error) and error.errno not in WRITTEN else ", or name another file"
        return [f"{place}: {error.strerror}; {cure_of(error)}{elsewhere}, and repeat the command"]
    return []


def _usage(error: Any) -> str:
    """A mistake in the words of the command, with where to read on."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "longtail"
    if type(error).__name__ == "NoSuchOption":
        message += "; a file or folder whose name begins with - goes after --"
    return f"{message[:1].lower()}{message[1:]}; see {path} --help"


def _say(*lines: str) -> None:
    say(*lines, err=True)
