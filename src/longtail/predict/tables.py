"""What is said of some images, and the table that it becomes."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from longtail.engine.decision import Decision
from longtail.engine.evaluate import Predictions
from longtail.engine.scores import prediction_table, withhold
from longtail.train_arguments import whole_number
from longtail.types import InputError


@dataclass(frozen=True)
class Part:
    """Some images, and what is said of those that can be read.

    Attributes:
        names: N of them.
        rows: the B of 0 ... N - 1 that can be read.
        logits: (B, C) of all experts together.
        each: (M, B, C) of each.
    """

    names: tuple[str, ...]
    rows: list[int]
    logits: Float[Tensor, "b c"]
    each: Float[Tensor, "m b c"]


@dataclass(frozen=True)
class Tabling:
    """How a part becomes a table.

    Raises:
        InputError: an option is out of its range.
    """

    classes: tuple[str, ...]
    decision: Decision
    top_k: int
    abstain_below: float | None
    views: int

    def __post_init__(self) -> None:
        if (whole_number("top_k", self.top_k) or 0) < 1:
            raise InputError(f"top_k is {self.top_k}; give 1 or more")
        least: Any = self.abstain_below
        if least is not None and not (isinstance(least, int | float | np.number) and 0 <= least <= 1):
            raise InputError(f"abstain_below is {least!r}; give a confidence from 0 to 1")

    def __call__(self, part: Part) -> pd.DataFrame:
        """A row for each name, empty but for the name and the views where the image could not be read."""
        table = self._rows(part)
        return table if self.views == 1 else table.assign(views=self.views)

    def _rows(self, part: Part) -> pd.DataFrame:
        predictions = Predictions.joined([Predictions.of(part.logits, part.each, self.top_k, self.decision)])
        finite(predictions.confidences)
        table = prediction_table([part.names[row] for row in part.rows], predictions, self.classes)
        if self.abstain_below is not None:
            table = withhold(table, self.abstain_below)
        if len(part.rows) == len(part.names):
            return table
        flags = list(table.select_dtypes("bool"))
        table = table.set_axis(part.rows).reindex(range(len(part.names)))
        table["path"] = pd.Series(part.names, dtype=object)
        for name in flags:
            table[name] = table[name].eq(True)
        return table


def finite(probabilities: Tensor) -> Tensor:
    """Refuse what is no number: with such weights nothing can be predicted."""
    if not bool(probabilities.isfinite().all()):
        raise InputError(
            "the network answers with what is no number (NaN): its weights or its temperature are damaged; train or "
            "export it again"
        )
    return probabilities


def tables_of(tabling: Tabling, parts: Generator[Part, None, None]) -> Generator[pd.DataFrame, None, None]:
    """The table of each part; closing the generator closes `parts`."""
    with closing(parts):
        yield from map(tabling, parts)
