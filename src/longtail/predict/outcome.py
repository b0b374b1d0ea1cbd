"""What became of the images that were predicted, in counts and in words."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.data.dataset import counted
from longtail.data.left_out import FileCounts, LeftOut, left_out_items
from longtail.predict.unreadable import Unreadable, repaired_lines, unreadable_error, unreadable_lines

if TYPE_CHECKING:
    import pandas as pd

DOUBTFUL = 0.5  # a confidence below this is worth a look


@dataclass
class Outcome:
    """Counts over the rows of all pieces, and what could not be read.

    Attributes:
        rows: images with a prediction.
        doubtful: those whose experts disagree, or whose confidence is below `DOUBTFUL`.
        abstained: those left without a label.
        unreadable: (path, reason) of the images whose row is empty.
        repaired: (path, what was ignored) of those that are damaged beside their pixels and used.
        left_out: what else lay in the folders.
        divided: those whose experts disagree.
    """

    rows: int = 0
    doubtful: int = 0
    abstained: int = 0
    unreadable: Unreadable = field(default_factory=list)
    repaired: Unreadable = field(default_factory=list)
    left_out: tuple[LeftOut, ...] = ()
    divided: int = 0

    def add(self, table: "pd.DataFrame") -> None:
        """Count the rows of a piece of the table."""
        table = table[table["confidence"].notna()]
        self.rows += len(table)
        self.doubtful += int(((table["agreement"] < 1) | (table["confidence"] < DOUBTFUL)).sum())
        self.divided += int((table["agreement"] < 1).sum())
        if "abstained" in table:
            self.abstained += int(table["abstained"].sum())

    def check(self, predicted: int, *, strict: bool) -> None:
        """Refuse unreadable images, where that was asked for or nothing else was given.

        Raises:
            InputError: see above.
        """
        if self.unreadable and (strict or not predicted):
            raise unreadable_error(self.unreadable)

    def lines(self, listed: Path | None = None) -> list[str]:
        """All that is worth knowing; `listed` is where the unreadable images are listed, if anywhere."""
        where = [f"listed in {listed}"] if self.unreadable and listed else []
        damaged = repaired_lines(self.repaired)
        return [*self._skipped(), *where, *damaged, *self._beside(), *self.review_lines()]

    def review_lines(self) -> list[str]:
        """What a person should look at."""
        lines, images = [], counted(self.rows, "image")
        if self.abstained:
            have, its = ("has", "its") if self.abstained == 1 else ("have", "their")
            lines.append(f"{self.abstained:,} of {images} {have} no label: {its} confidence is too low")
        if self.doubtful:
            why, by = f"confidence below {DOUBTFUL}", "confidence"
            if self.divided:
                why, by = f"experts disagree, or {why}", f"agreement, then by {by}"
            need = "needs" if self.doubtful == 1 else "need"
            lines.append(f"{self.doubtful:,} of {images} {need} review ({why}): sort by {by}")
        return lines

    def _skipped(self) -> list[str]:
        if not self.unreadable:
            return []
        images = counted(self.rows + len(self.unreadable), "image")
        have = "has" if len(self.unreadable) == 1 else "have"
        head = f"{len(self.unreadable):,} of {images} could not be read and {have} no prediction:"
        return [head, *(f"  {line}" for line in unreadable_lines(self.unreadable))]

    def _beside(self) -> list[str]:
        """What else lay in the folders, and what became of all files."""
        if not self.left_out:
            return []
        beside = sum(one.count for one in self.left_out)
        counts = FileCounts(self.rows, len(self.unreadable), left_out=beside)
        return [f"{counts.line()}:", *left_out_items(self.left_out)]
