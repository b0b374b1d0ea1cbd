"""Commands that make a run or work with one: parsing, one call, and what a person reads."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.caller_words import COMMAND
from longtail.choices import VIEWS
from longtail.cli.output import data_out, say
from longtail.runs import layout
from longtail.stopping import loading
from longtail.train_arguments import check_fit, checked_epochs, checked_minutes, checked_seeds

if TYPE_CHECKING:
    from longtail.predict import Predictor

COUNTING = 1.0  # seconds in which files are counted for the first line
INCOMPLETE = 1  # status where an image could not be read and the others were


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; called with how many are done, and of how many."""
    with loading():
        from rich.console import Console
        from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, disable=not console.is_terminal, transient=True, redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:  # fmt: skip
        task = bar.add_task(title)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def launched_processes() -> int:
    """How many processes a launcher says that it started."""
    size = os.environ.get("WORLD_SIZE") or "1"
    return int(size) if size.isdecimal() else 1


def is_first() -> bool:
    """Whether this process is the one, of several that a launcher started, that talks."""
    return launched_processes() == 1 or (os.environ.get("RANK") or "0") == "0"


def note(classifier: "Predictor") -> None:
    """Say what is to know before a classifier is trusted."""
    if classifier.note:
        say(classifier.note, err=True)


def whole_number(word: str) -> int:
    """The number that a word says."""
    try:
        return int(word)
    except ValueError:
        raise typer.BadParameter(f"{word!r} is not a whole number") from None


def _known_views(count: int) -> int:
    """So many views, where they stand for something."""
    if count not in VIEWS:
        raise typer.BadParameter(f"{count} does not fit: give one of {', '.join(map(str, VIEWS))}")
    return count


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run folder that `train` made.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse what would otherwise be skipped and reported.")
]

FitOption = Annotated[
    str | None,
    typer.Option(
        "--fit",
        metavar="crop|pad|squash",
        help="What a network sees of an image that is not square. [default: chosen for a folder of images]",
    ),
]
ViewsOption = Annotated[
    int,
    typer.Option(
        "--views",
        callback=_known_views,
        metavar="1|2|5|10",
        help="Average over views of each image: 2, its mirror image too; 5, its corners too; 10, both.",
    ),
]
PriorOption = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="uniform|train|FILE",
        help="Class prior expected in use; FILE is CSV with class,weight or a JSON object. "
        "[default: the method's own]",
    ),
]


def train(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help=f"A shipped recipe, a {layout.RECIPE}, a folder or table of images."
        ),
    ],
    data: Annotated[str | None, typer.Option(metavar="PATH", help="Where the images are.")] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another method; see `longtail methods`.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another network; see `longtail models`.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Begin with ImageNet weights (downloaded unless installed).")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Begin with these weights: safetensors or a state dict."),
    ] = None,
    frozen: Annotated[
        bool,
        typer.Option(
            "--frozen",
            help="Train classifiers alone, in seconds, on features that the network computes once.",
        ),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole_number, help="Length; the recipe's windows scale with it."),
    ] = None,
    fit: FitOption = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="For images without a recipe: find settings and train within N minutes; 0 takes the suggested ones. "
            "[default: 15]",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole_number, help="Keys weights, order and augmentation."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Several seeds at once, a run folder each and one summary."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Run folder, new or empty. [default: runs/<data>-<method>-<model>]"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any key of the recipe; repeatable."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume the run folder TARGET, --out, or the same command's newest run."
        ),
    ] = False,
    no_group_copies: Annotated[
        bool,
        typer.Option(
            "--no-group-copies",
            help="Do not keep copies, near duplicates and bursts together where images are held out.",
        ),
    ] = False,
    strict: Strict = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the run folder's name alone.")] = False,
) -> None:
    """Train a recipe, or on your own folder of images, and evaluate."""
    given: dict[str, Any] = dict(pairs(set_ or []))
    checked_minutes(minutes, checked_epochs(epochs))
    check_fit(fit)
    several = _several(seed, seeds)
    if not quiet and is_first() and Path(target).exists():
        say(first_line(target), err=True)
    with loading():
        from longtail import api, report
        from longtail.runs import planned_seeds

    named = {
        "model.pretrained": pretrained or None, "model.frozen": frozen or None, "model.weights": weights,
        "data.fit": fit, "data.group_copies": False if no_group_copies else None,
    }  # fmt: skip
    given |= {key: value for key, value in named.items() if value is not None}
    options: dict[str, Any] = {
        "data": data, "method": method, "model": model, "epochs": epochs, "minutes": minutes, "out": out, "set": given,
        "resume": resume, "strict": strict, "quiet": quiet,
    }  # fmt: skip
    if several is not None or planned_seeds(Path(target)) is not None:
        if seed is not None:
            raise typer.BadParameter(f"{target} holds runs of several seeds; leave out --seed")
        trained = api.train_seeds(target, several, **options)
        if quiet:
            _print_path(trained.path)
        else:
            say("", *report.summary_lines(trained))
        return
    run = api.train(target, seed=seed, **options)
    if not is_first():  # of several processes, the first says it
        return
    if quiet:
        _print_path(run.path)
        return
    place = shlex.quote(str(run.path))
    say("", *report.result_lines(run), *report.chance_lines(run.table("per_class")), "")
    say(f"report:  longtail report {place}", f"predict: longtail predict {place} PHOTOS -o predictions.csv")


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A set in any form that `train` takes: its test split, or all of it. [default: the run's own]",
        ),
    ] = None,
    prior: PriorOption = None,
    views: ViewsOption = 1,
    strict: Strict = False,
) -> None:
    """Score a run on its own test split or on other images."""
    with loading():
        from longtail.predict import load_run
        from longtail.report import abstaining_lines, evaluation_lines

    classifier = load_run(run, words=COMMAND)
    note(classifier)
    metrics = classifier.evaluate(data, strict=strict, prior=prior, views=views)
    place = classifier.folder.path
    say(*evaluation_lines(metrics, place), *abstaining_lines(place / layout.evaluation(metrics["split"])))


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Two or more run folders.")],
) -> None:
    """Put the scores of several runs under each other."""
    with loading():
        from longtail.report import comparison_lines
        from longtail.runs import Run

    if len(runs) < 2:
        raise typer.BadParameter("give two runs or more to compare")
    say(*comparison_lines([Run(run) for run in runs]))


def first_line(target: str) -> str:
    """What is said before PyTorch is loaded, which takes seconds: what is looked at, and how much of it there is."""
    files, until = 0, time.monotonic() + COUNTING
    for _, _, names in os.walk(target):
        files += len(names)
        if time.monotonic() > until:
            return f"looking at {target}: more than {files:,} files; loading PyTorch"
    return f"looking at {target}{f': {files:,} files' if files else ''}; loading PyTorch"


def _print_path(path: Path) -> None:
    """A path for other programs, to the byte."""
    with data_out() as out:
        out.write(f"{path}\n")


def numbers(words: str) -> list[int]:
    """0,1,2 as numbers."""
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds {words!r} is no list of whole numbers, such as 0,1,2") from None


def _several(seed: int | None, seeds: str | None) -> list[int] | None:
    """The seeds of several runs; None where there is one run."""
    if seed is not None and seeds is not None:
        raise typer.BadParameter("--seed and --seeds are both given; keep one of them")
    return None if seeds is None else checked_seeds(numbers(seeds))


def pairs(words: Sequence[str]) -> dict[str, str]:
    """SECTION.KEY=VALUE words as a dictionary."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise typer.BadParameter(
                f"--set {word!r} is not of the form SECTION.KEY=VALUE, such as optim.batch_size=64"
            )
        found[key.strip()] = value.strip()
    return found
