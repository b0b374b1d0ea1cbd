"""The table of a study for a terminal, as Markdown, CSV and LaTeX; each names the command of every row."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from longtail.csv_text import csv_text
from longtail.study.result import SCORES
from longtail.study.table import Gain, Row, gain, gain_text, percent, spread
from longtail.text_table import table_lines


@dataclass(frozen=True)
class Table:
    """A study's table.

    Attributes:
        title: its heading.
        rows: see there.
        against: title of the row that others are compared with.
        notes: what is to know beside the figures.
    """

    title: str
    rows: Sequence[Row]
    against: Row | None
    notes: Sequence[str] = ()

    @property
    def head(self) -> list[str]:
        compared = [] if self.against is None else [f"macro - {self.against.title}"]
        return ["", *SCORES, *compared, "M weights", "seconds", "paper", "seeds"]

    def cells(self, row: Row) -> list[str]:
        compared = [] if self.against is None else [gain_text(self.gain(row))]
        weights = "-" if row.parameters is None else f"{row.parameters / 1e6:.2f}"
        published = "-" if row.published is None else f"{row.published:.1f}"
        scores = [percent(row.values(score)) for score in SCORES]
        return [row.title, *scores, *compared, weights, f"{row.seconds:.0f}", published, str(len(row.seeds))]

    def gain(self, row: Row) -> Gain | str:
        if self.against is None or row.key == self.against.key:
            return "the row itself"
        return gain(row, self.against)

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Title of a row and what repeats it."""
        return [(row.title, command) for row in self.rows for command in row.commands]


def terminal(table: Table) -> list[str]:
    body = table_lines(table.head, [table.cells(row) for row in table.rows])
    said = [f"{title}: {command}" for title, command in table.commands]
    return [table.title, "", *body, "", *table.notes, *said]


def markdown(table: Table) -> str:
    lines = [f"**{table.title}**", "", *markdown_rows(table.head, [table.cells(row) for row in table.rows])]
    notes = ["", *table.notes] if table.notes else []
    return "\n".join([*lines, *notes, "", *(f"- {title}: `{command}`" for title, command in table.commands)])


def markdown_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown: the first column stands left, the others right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    return [*lines, *(f"| {' | '.join(cells)} |" for cells in rows)]


def latex(table: Table) -> str:
    """A tabular that needs no package; the commands stand in comments."""
    head, rows = map(_escaped, table.head), [map(_escaped, table.cells(row)) for row in table.rows]
    lines = [
        f"% {table.title}",
        *(f"% {note}" for note in table.notes),
        *(f"% {title}: {command}" for title, command in table.commands),
    ]
    lines += [
        rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
        r"\hline",
        f"{' & '.join(head)} \\\\",
        r"\hline",
    ]
    lines += [f"{' & '.join(cells)} \\\\" for cells in rows]
    return "\n".join([*lines, r"\hline", r"\end{tabular}"])


def csv(table: Table) -> str:
    """Numbers in full: fractions for accuracies, a row a row."""
    head = ["row", "title"]
    head += [f"{score}{kind}" for score in SCORES for kind in ("", "_sd")]
    head += ["against", "gain", "gain_low", "gain_high", "gain_seeds"]
    head += ["parameters", "seconds", "published", "seeds", "commands"]
    rows = []
    for row in table.rows:
        scores = [value for score in SCORES for value in spread(row.values(score)) or (None, None)]
        found = table.gain(row)
        compared = (
            [found.value, found.low, found.high, found.seeds] if isinstance(found, Gain) else [None] * 4
        )
        other = None if table.against is None else table.against.key
        rows.append(
            [row.key, row.title, *scores, other, *compared, row.parameters, row.seconds, row.published,
             " ".join(row.seeds), "; ".join(row.commands)]
        )  # fmt: skip
    return csv_text([head, *rows])


def _escaped(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text).replace("±", r"$\pm$")
