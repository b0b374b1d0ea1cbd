"""A study from start to end: the cells are trained, what failed is named, the tables are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longtail.runs.folder import RunFolder
from longtail.runs.layout import seed_folder
from longtail.study import layout
from longtail.study.layout import Table
from longtail.study.plan import Cell, Plan, Request, check_images, plan_study, tokens
from longtail.study.pool import stop_after, work_together
from longtail.study.result import Result, read_result
from longtail.study.study_file import Study
from longtail.study.table import rows_of
from longtail.study.worker import OutOfTimeError, Say, Terms, is_failed, open_cells, work


@dataclass(frozen=True)
class Outcome:
    """How a study ended.

    Attributes:
        plan: see there.
        failed: cells that failed, with the reason.
        left: cells that are neither done nor failed: there was no time.
    """

    plan: Plan
    failed: Sequence[tuple[Cell, str]]
    left: Sequence[Cell]


def run_study(
    request: Request, say: Say, *, workers: int = 1, minutes: float | None = None, quiet: bool = False
) -> Outcome:
    """Train the cells of a study that have no result yet.

    Args:
        request: which.
        say: what to do with news of cells.
        workers: processes; more than one take one thread each where the recipe leaves them open.
        minutes: stop after this long; the same request resumes.
        quiet: show no epochs.

    Raises:
        InputError: see `plan_study` and `check_images`.
        KeyboardInterrupt: stopped by the user; the same request resumes.
    """
    plan = plan_study(request)
    check_images(plan)
    known = frozenset(tokens(plan.cells))
    seconds = None if minutes is None else 60 * minutes
    try:
        if workers == 1:
            work(plan, Terms(known, stop_after(seconds), quiet=quiet), say)
        else:
            work_together(request, plan, workers, known, seconds, say)
    except OutOfTimeError:
        pass
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command resumes") from None
    failed = [
        (cell, failure.reason)
        for cell in plan.cells
        if is_failed(cell, known) and (failure := cell.failure) is not None
    ]
    return Outcome(plan, failed, open_cells(plan, known))


def results_of(study: Study, folder: Path) -> list[Result]:
    """The results of a study's rows that there are, in the order of its rows."""
    files = [
        file
        for key in study.rows
        for file in sorted(folder.glob(f"{study.name}.{key}.{seed_folder('*')}.json"))
    ]
    return [read_result(file) for file in files]


def table_of(study: Study, results: Sequence[Result]) -> Table:
    """The table of a study; rows without a result are named below."""
    rows = rows_of(results)
    found = {row.key: row for row in rows}
    missing = [study.title_of(key) for key in study.rows if key not in found]
    notes = []
    if study.against is not None and study.against in found:
        seeds = sorted({len(row.seeds) for row in rows})
        notes.append(
            f"Differences are paired over seeds and test images, with 95 % intervals"
            f"{'; those of one seed hold for that run alone' if seeds[:1] == [1] else ''}."
        )
    if any(row.published is not None for row in rows):
        notes.append(
            "Paper: top-1 accuracy as published, often of other lengths, augmentations and networks, and of the best "
            "epoch on the test images."
        )
    if missing:
        notes.append(f"{len(missing)} of {len(study.rows)} rows have no result yet: {', '.join(missing)}.")
    return Table(study.title, rows, found.get(study.against or ""), notes)


def write_tables(table: Table, name: str, folder: Path) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex."""
    texts = {"md": layout.markdown(table) + "\n", "csv": layout.csv(table), "tex": layout.latex(table) + "\n"}
    return [RunFolder(folder).write_text(f"{name}.{ending}", text) for ending, text in texts.items()]
