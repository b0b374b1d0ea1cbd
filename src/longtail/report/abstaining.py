"""What leaving the least confident images without a label would cost, over all images and by group."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from longtail.report.limits import COVERAGES
from longtail.report.text import percent
from longtail.runs import layout
from longtail.runs.folder import EVALUATE
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.runs.tables import read_risk_coverage
from longtail.text_table import table_lines

WIDER = 0.02  # by which the gap between groups has to grow to be reported


def abstaining_lines(place: Path) -> list[str]:
    """A table of risk_coverage.csv at 100, 90, 80, 70 and 50 % kept, and a warning where groups drift apart.

    Args:
        place: the folder of an evaluation.
    """
    file = place / layout.RISK_COVERAGE
    table = read_risk_coverage(file, EVALUATE)
    lines = _lines(table) if len(table) else []
    return [*lines, "", str(file)] if lines else []


def _lines(table: pd.DataFrame) -> list[str]:
    groups = [group for group in GROUPS if table[f"error_{group}"].notna().any()]
    kept = pd.DataFrame(
        [table[table["coverage"] >= share - 1e-9].iloc[-1] for share in COVERAGES]
    ).drop_duplicates()
    rows = [
        [
            percent(row["coverage"]), f"{row['threshold']:.3f}", percent(row["error"]),
            *(_percent(row[f"error_{group}"]) for group in groups),
            *(_percent(row[f"coverage_{group}"]) for group in groups),
        ]
        for _, row in kept.iterrows()
    ]  # fmt: skip
    errors, shares = [f"{group} wrong" for group in groups], [f"{group} kept" for group in groups]
    head = ("kept, %", "confidence from", "wrong", *errors, *shares)
    title = "Leaving the least confident without a label (predict --abstain-below)"
    body = [f"  {line}" for line in table_lines(head, rows, left=())]
    return ["", title, *body, *(f"  {line}" for line in _drifting(kept, groups))]


def _drifting(kept: pd.DataFrame, groups: list[str]) -> Iterator[str]:
    """The coverage at which the gap between the groups' errors is widest, where it grows by abstaining."""
    gaps = []
    for _, row in kept.iterrows():
        known = {g: row[f"error_{g}"] for g in groups if row[f"images_{g}"] >= ENOUGH}
        if len(known) > 1:
            worst, best = max(known, key=lambda g: known[g]), min(known, key=lambda g: known[g])
            gaps.append((known[worst] - known[best], row["coverage"], worst, best, known))
    if not gaps or gaps[0][1] < 1:
        return
    gap, coverage, worst, best, known = max(gaps, key=lambda found: found[0])
    if gap > gaps[0][0] + WIDER:
        yield (
            f"warning: abstaining widens the gap between groups: with {percent(coverage)} % kept, {worst} errs in "
            f"{percent(known[worst])} % and {best} in {percent(known[best])} %; look at each group before relying on it"
        )


def _percent(value: float) -> str:
    return percent(None if pd.isna(value) else value)
