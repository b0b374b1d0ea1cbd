"""`longtail bench`: rows of a study over seeds, to result files and a table."""

from typing import TYPE_CHECKING, Annotated

import typer

from longtail.cli.output import say
from longtail.cli.runs import numbers, pairs
from longtail.durations import duration
from longtail.runs import layout
from longtail.stopping import loading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from longtail.study.plan import Plan
    from longtail.study.run import Outcome
    from longtail.study.worker import News

FAILED, UNFINISHED = 1, 3


def bench(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A shipped study, such as table1-mini, or a study.toml.")
    ],
    data: Annotated[str | None, typer.Option(metavar="PATH", help="Where the images are.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Run this row alone; repeatable.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="In place of the study's seeds.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="A key of every row's recipe; repeatable."),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes, each with one thread where there are several.")
    ] = 1,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", help="Stop after this long with exit status 3; the same command resumes."),
    ] = None,
    out: Annotated[
        str,
        typer.Option(metavar="DIR", help=f"Where run folders go: DIR/STUDY/ROW/{layout.seed_folder('N')}."),
    ] = "runs",
    results: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where result files go. [default: OUT/STUDY/results]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, what is done and about how long it takes.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Write the tables of what is done; run nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show the table alone.")] = False,
) -> None:
    """Train the rows of a study over its seeds, and write their table.

    Begin it as often as you like, on this machine or on others that share the folders: they divide the work.
    """
    if minutes is not None and not minutes > 0:
        raise typer.BadParameter(f"--minutes {minutes:g} does not fit: give more than 0")
    given = dict(pairs(set_ or []))
    with loading():
        from longtail.study import plan, run

    chosen = () if seeds is None else tuple(numbers(seeds))
    request = plan.Request(study, data, out, results, tuple(only or ()), chosen, given)
    if table:
        _tables(plan.plan_study(request))
        return
    if dry_run:
        planned = plan.plan_study(request)
        plan.check_images(planned)
        _forecast(planned, workers)
        return
    said = _silent if quiet else _said
    outcome = run.run_study(request, said, workers=workers, minutes=minutes, quiet=quiet)
    _tables(outcome.plan)
    raise typer.Exit(_status(outcome))


def _said(news: "News") -> None:
    say(f"{news.cell} {news.kind}{': ' if news.text else ''}{news.text}", err=True)


def _silent(_: "News") -> None:
    """Say nothing."""


def _forecast(plan: "Plan", workers: int) -> None:
    """Print what is done, what would run, and about how long it takes."""
    from longtail.study import estimate
    from longtail.text_table import table_lines

    cells = estimate.forecast(plan, int(workers > 1), lambda line: say(line, err=True))
    rows = [
        (
            str(one.cell),
            one.state,
            *(("-", "see below") if one.seconds is None else (duration(one.seconds), one.basis)),
        )
        for one in cells
    ]
    say(*table_lines(("cell", "state", "left", "by"), rows, left=(0, 1, 3)), "")
    unknown = sum(one.seconds is None for one in cells)
    done = sum(one.state == "done" for one in cells)
    left = f"about {duration(estimate.total(cells, workers))} with {workers} process{'es' * (workers > 1)}"
    say(f"{done} of {len(cells)} cells done; {left} on this machine, as busy as it is now")
    if unknown:
        say(f"{unknown} cells are not in this, for they could not be timed")
    failed = [(str(one.cell), one.cell.failure) for one in cells if one.state != "done"]
    for reason, named in _by_reason(
        (cell, failure.reason) for cell, failure in failed if failure is not None
    ):
        say(f"{named}: failed and will be tried again: {reason}")
    for reason, named in _by_reason((str(one.cell), one.basis) for one in cells if one.seconds is None):
        say(f"{named}: {reason}")


def _by_reason(found: "Iterable[tuple[str, str]]") -> list[tuple[str, str]]:
    """Reasons and the cells that share each; of many cells the first three and how many more.

    >>> _by_reason([("a", "no data"), ("b", "a fault"), ("c", "no data")])
    [('no data', 'a; c'), ('a fault', 'b')]
    """
    groups: dict[str, list[str]] = {}
    for cell, reason in found:
        groups.setdefault(reason, []).append(cell)
    return [
        (reason, "; ".join(cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else ""))
        for reason, cells in groups.items()
    ]


def _tables(plan: "Plan") -> None:
    """Print the table of the study's results, and write it in all forms."""
    from longtail.study import layout, run

    results = run.results_of(plan.study, plan.results)
    if not results:
        say(f"no result yet in {plan.results}", err=True)
        return
    table = run.table_of(plan.study, results)
    say(*layout.terminal(table), "", *run.write_tables(table, plan.study.name, plan.folder))


def _status(outcome: "Outcome") -> int:
    """Say what failed and what is left; the exit status."""
    for reason, cells in _by_reason((str(cell), reason) for cell, reason in outcome.failed):
        say(f"failed: {cells}: {reason}", err=True)
    if outcome.left:
        cells = ", ".join(map(str, outcome.left))
        say(f"out of time, {len(outcome.left)} not finished: {cells}; the same command resumes", err=True)
        return UNFINISHED
    return FAILED if outcome.failed else 0
