"""`longtail predict`: parsing, one call, and what a person reads."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.cli.output import data_out, say
from longtail.cli.runs import INCOMPLETE, PriorOption, RunArgument, Strict, ViewsOption, note
from longtail.stopping import loading

if TYPE_CHECKING:
    import pandas as pd

    from longtail.predict import ImageSources, Predictor, Unreadable
    from longtail.predict.predictions_file import PredictionsFile

DOUBTFUL = 0.5  # a confidence below this is worth a look


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
        bool, typer.Option("--resume", help="Go on with the FILE of a command that was stopped.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    strict: Strict = False,
) -> None:
    """Name what images show, with confidence and each expert's vote."""
    with loading():
        from longtail.predict import ImageSources, load
        from longtail.predict.predictions_file import PredictionsFile

    file = None if out in (None, "-") else PredictionsFile(Path(str(out)))
    options: dict[str, Any] = {"top_k": top_k, "abstain_below": abstain_below, "prior": prior, "views": views}
    if file is None and resume:
        raise typer.BadParameter("--resume goes on with a file; name it with -o FILE")
    if file is not None:
        file.check_free(resume=resume, overwrite=overwrite)
    images = ImageSources(_listed(sources))
    _check_given(images, strict)
    classifier = load(run)
    note(classifier)
    if top_k > (count := len(classifier.classes)):
        _say([f"--top-k {top_k:,} is more than there are classes: all {count:,} are named"])
    work = Work(classifier, images, options, strict)
    if file is None:
        work.print()
    elif resume and file.is_finished:
        file.check_finished(work.settings())
        _say([f"{file.out} is finished; nothing to resume"])
        if file.unreadable.is_file():
            raise typer.Exit(INCOMPLETE)
    else:
        again = ["longtail", "predict", run, *sources, "-o", str(file.out), *_words(options, strict)]
        work.write(file, resume=resume, again=shlex.join([*again, "--resume"]))
    if work.bad:
        raise typer.Exit(INCOMPLETE)


@dataclass
class Work:
    """What one `predict` command has to do."""

    classifier: "Predictor"
    images: "ImageSources"
    options: dict[str, Any]
    strict: bool

    def __post_init__(self) -> None:
        self.bad: Unreadable = []
        self.repaired: Unreadable = []
        self.tally = Tally()

    def print(self) -> None:
        """Predictions on standard output, as they come."""
        from longtail.csv_text import table_lines

        with data_out() as out:
            for number, table in enumerate(self._tables({}, 0)):
                out.writelines(table_lines(table, header=number == 0))
                self.tally.add(table)
        self._check(self.tally.rows)
        _say([*self._skipped(), *self._damaged(), *self._beside(), *self.tally.lines()])

    def write(self, file: "PredictionsFile", *, resume: bool, again: str) -> None:
        """Predictions into a file, which can be gone on with whatever stops the command."""
        try:
            with file.opened(self.settings(), resume=resume):
                if file.rows:
                    _say([f"going on after {file.rows:,} images in {file.partial}"])
                for table in self._stream(file.empty):
                    file.fill(table)
                for table in self._tables(file.done, file.rows):
                    file.add(table)
                if self.strict and self.bad and file.predicted:
                    how = "--resume takes them: without --strict, or once every image can be read"
                    _say([f"{file.predicted:,} predictions stay in {file.partial}; {how}"])
                self._check(file.predicted)
                for table in file.tables():
                    self.tally.add(table)
                file.finish(self.bad)
        except KeyboardInterrupt:
            if not file.predicted:
                raise KeyboardInterrupt(
                    "interrupted before the first prediction; nothing was written"
                ) from None
            raise KeyboardInterrupt(
                f"interrupted with {file.predicted:,} predictions in {file.partial}; continue with: {again}"
            ) from None
        rows = self.tally.rows
        where = [f"listed in {file.unreadable}"] if self.bad else []
        _say(
            [
                *self._skipped(),
                *where,
                *self._damaged(),
                *self._beside(),
                *self.tally.lines(),
                f"{rows:,} prediction{'s' * (rows != 1)} in {file.out}",
            ]
        )

    def settings(self) -> dict[str, Any]:
        """What has to be the same for rows to belong into one file."""
        prior = self.classifier.mix(self.options["prior"])
        sources, weights = self.images.fingerprint, self.classifier.fingerprint
        return self.options | {"prior": prior, "sources": sources, "weights": weights}

    def _stream(self, paths: Iterable[str]) -> Iterator["pd.DataFrame"]:
        return self.classifier.stream(paths, self.bad, self.repaired, **self.options)

    def _tables(self, done: Mapping[str, int], begun: int) -> Iterator["pd.DataFrame"]:
        """The tables of what is left, with a bar on standard error where that is a terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        speed = TextColumn("{task.fields[speed]}")
        columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
        with Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True, redirect_stdout=False,
            redirect_stderr=False,
        ) as bar:  # fmt: skip
            total = self.images.count() if console.is_terminal else None
            task = bar.add_task("", total=total, completed=begun, speed="")
            for table in self._stream(self._left(done)):
                yield table
                speed_now = f"{bar.tasks[0].speed or 0:,.0f} images/s"
                bar.update(task, advance=len(table), speed=speed_now)

    def _left(self, done: Mapping[str, int]) -> Iterator[str]:
        """The images without those that have a row, each as often as it has one."""
        rows = Counter(done)
        for name in self.images.names():
            if rows[name] > 0:
                rows[name] -= 1
            else:
                yield name

    def _check(self, predicted: int) -> None:
        """Refuse unreadable images, where that was asked for or nothing else was given."""
        from longtail.predict import unreadable_error

        if self.bad and (self.strict or not predicted):
            raise unreadable_error(self.bad)

    def _skipped(self) -> list[str]:
        from longtail.data.dataset import counted
        from longtail.predict import unreadable_lines

        if not self.bad:
            return []
        images = counted(self.tally.rows + len(self.bad), "image")
        have = "has" if len(self.bad) == 1 else "have"
        head = f"{len(self.bad):,} of {images} could not be read and {have} no prediction:"
        return [head, *(f"  {line}" for line in unreadable_lines(self.bad))]

    def _damaged(self) -> list[str]:
        from longtail.predict import repaired_lines

        return repaired_lines(self.repaired)

    def _beside(self) -> list[str]:
        """What else lay in the folders, and what became of all files."""
        from longtail.data.left_out import FileCounts, left_out_items

        found = self.images.left_out
        if not found:
            return []
        counts = FileCounts(self.tally.rows, len(self.bad), left_out=sum(one.count for one in found))
        return [f"{counts.line()}:", *left_out_items(found)]


@dataclass
class Tally:
    """Counts over the rows of all pieces.

    Attributes:
        rows: images with a prediction.
        doubtful: those whose experts disagree, or whose confidence is low.
        abstained: those left without a label.
    """

    rows: int = 0
    doubtful: int = 0
    abstained: int = 0

    def add(self, table: "pd.DataFrame") -> None:
        table = table[table["confidence"].notna()]
        self.rows += len(table)
        self.doubtful += int(((table["agreement"] < 1) | (table["confidence"] < DOUBTFUL)).sum())
        if "abstained" in table:
            self.abstained += int(table["abstained"].sum())

    def lines(self) -> list[str]:
        """What a person should look at."""
        from longtail.data.dataset import counted

        lines, images = [], counted(self.rows, "image")
        if self.abstained:
            have, its = ("has", "its") if self.abstained == 1 else ("have", "their")
            lines.append(f"{self.abstained:,} of {images} {have} no label: {its} confidence is too low")
        if self.doubtful:
            lines.append(
                f"{self.doubtful:,} of {images} {'needs' if self.doubtful == 1 else 'need'} review (experts "
                f"disagree, or confidence below {DOUBTFUL}): sort by agreement, then by confidence"
            )
        return lines


def _words(options: dict[str, Any], strict: bool) -> list[str]:
    """Options as they are given on the command line."""
    usual, words = {"top_k": 1, "views": 1, "abstain_below": None, "prior": None}, list[str]()
    for name, value in usual.items():
        if options[name] != value:
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    return [*words, "--strict"] if strict else words


def _check_given(images: "ImageSources", strict: bool) -> None:
    """Say what is given again, and refuse what holds no image or is left out where that was asked for."""
    from longtail.data.left_out import left_out_lines
    from longtail.predict import unreadable_error
    from longtail.types import InputError

    if images.repeated:
        sources = (
            "source was given before and is" if images.repeated == 1 else "sources were given before and are"
        )
        _say([f"{images.repeated:,} {sources} answered each time"])
    if images.overlap:
        _say([images.overlap])
    if strict and images.missing:
        raise unreadable_error(list(images.missing))
    if strict and images.count() and (lost := left_out_lines(images.left_out, problems_only=True)):
        raise InputError(
            "the folders hold more than images; remove or convert it, or leave out --strict", lost
        )


def _listed(sources: Sequence[str]) -> list[str]:
    """The sources, with - replaced by the paths on standard input."""
    from longtail.cli.path_list import paths_in

    found: list[str] = []
    for source in sources:
        found += [source] if source != "-" else paths_in(sys.stdin.buffer.read() if sys.stdin else b"")
    if not found:
        raise typer.BadParameter("no paths on standard input; write one a line")
    return found


def _say(lines: Sequence[object]) -> None:
    say(*lines, err=True)
