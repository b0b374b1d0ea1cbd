"""`longtail predict`: parsing, one call, and what a person reads."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.caller_words import COMMAND
from longtail.cli.output import data_out, say
from longtail.cli.runs import INCOMPLETE, PriorOption, RunArgument, Strict, ViewsOption, note
from longtail.stopping import loading

if TYPE_CHECKING:
    from longtail.predict import ImageSources


def predict(
    run: RunArgument,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Images, folders of images, or - for a list of paths on stdin."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="CSV file, or Parquet for *.parquet. [default: print CSV]"
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(metavar="N", min=1, help="Classes named for each image.")] = 1,
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, max=1, help="Leave the label empty below this confidence."),
    ] = None,
    prior: PriorOption = None,
    views: ViewsOption = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the FILE of a command that was stopped.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    strict: Strict = False,
) -> None:
    """Name what images show, with confidence and each expert's vote."""
    with loading():
        from longtail.predict import ImageSources, load
        from longtail.predict.predictions_file import PredictionsFile

    options: dict[str, Any] = {"top_k": top_k, "abstain_below": abstain_below, "prior": prior, "views": views}
    again = ["longtail", "predict", run, *sources, "-o", str(out), *_given(options, strict), "--resume"]
    words = COMMAND._replace(again=shlex.join(again))
    file = None if out in (None, "-") else PredictionsFile(Path(str(out)), words)
    if file is None and resume:
        raise typer.BadParameter("--resume resumes a file; name it with -o FILE")
    if file is not None:
        file.check_free(resume=resume, overwrite=overwrite)
    images = ImageSources(_listed(sources))
    say(*images.notes(), err=True)
    classifier = load(run, words=words)
    note(classifier)
    if top_k > (count := len(classifier.classes)):
        _say(f"--top-k {top_k:,} is more than there are classes: all {count:,} are named")
    with _shown(images) as (tell, progress):
        asked = classifier.prediction(images, **options, strict=strict, say=tell, progress=progress)
        if file is None:
            with data_out() as lines:
                incomplete = bool(asked.print(lines).unreadable)
        else:
            asked.write(file, resume=resume)
            incomplete = file.unreadable.is_file()
    if incomplete:
        raise typer.Exit(INCOMPLETE)


@contextmanager
def _shown(images: "ImageSources") -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """What lines and the number of rows are passed to: a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True,
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip

    def stop() -> None:
        if bar.live.is_started:
            bar.stop()

    def tell(line: str) -> None:
        stop()
        _say(line)

    def progress(done: int) -> None:
        if not bar.tasks:
            total = images.count() if console.is_terminal else None
            bar.add_task("", total=total, completed=done, speed="")
            bar.start()
        bar.update(bar.task_ids[0], completed=done, speed=f"{bar.tasks[0].speed or 0:,.0f} images/s")

    try:
        yield tell, progress
    finally:
        stop()


def _given(options: dict[str, Any], strict: bool) -> list[str]:
    """Options as they are given on the command line."""
    usual, found = {"top_k": 1, "views": 1, "abstain_below": None, "prior": None}, list[str]()
    for name, value in usual.items():
        if options[name] != value:
            found += [f"--{name.replace('_', '-')}", str(options[name])]
    return [*found, COMMAND.strict] if strict else found


def _listed(sources: Sequence[str]) -> list[str]:
    """The sources, with - replaced by the paths on standard input."""
    from longtail.cli.path_list import paths_in

    found: list[str] = []
    for source in sources:
        found += [source] if source != "-" else paths_in(sys.stdin.buffer.read() if sys.stdin else b"")
    if not found:
        raise typer.BadParameter("no paths on standard input; write one a line")
    return found


def _say(line: str) -> None:
    say(line, err=True)
