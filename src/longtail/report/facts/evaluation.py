"""An evaluation as arrays: what every statistic of the report is computed from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from longtail.metrics.intervals import effective_images, macro_interval, source_bootstrap, wilson
from longtail.runs.groups import GROUPS
from longtail.runs.run import Run

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


@dataclass(frozen=True)
class Evaluation:
    """The evaluated images of a run.

    Attributes:
        names: C class names.
        counts: (C,) training images.
        group: (C,) 0 many, 1 medium, 2 few.
        paths: (N,) image ids.
        target: (N,) true classes.
        label: (N,) predicted classes.
        votes: (M, N) what each expert predicts.
        confidence: (N,) as shown to users: calibrated where a temperature was fitted.
        uncalibrated: (N,) before the temperature.
        source: (N,) patient, camera or burst of each image, None where unknown.
        part: "test", "validation" or "evaluated".
    """

    names: tuple[str, ...]
    counts: Int[ndarray, " c"]
    group: Int[ndarray, " c"]
    paths: tuple[str, ...]
    target: Int[ndarray, " n"]
    label: Int[ndarray, " n"]
    votes: Int[ndarray, "m n"]
    confidence: Float[ndarray, " n"]
    uncalibrated: Float[ndarray, " n"]
    source: Int[ndarray, " n"] | None
    part: str

    @cached_property
    def right(self) -> Bool[ndarray, " n"]:
        return np.asarray(self.label == self.target)

    @cached_property
    def images(self) -> Int[ndarray, " c"]:
        """(C,) evaluated images of each class."""
        return np.bincount(self.target, minlength=len(self.names))

    @cached_property
    def correct(self) -> Int[ndarray, " c"]:
        """(C,) right ones among them."""
        return np.bincount(self.target[self.right], minlength=len(self.names))

    @cached_property
    def predicted(self) -> Int[ndarray, " c"]:
        """(C,) images predicted as each class."""
        return np.bincount(self.label, minlength=len(self.names))

    @cached_property
    def tested(self) -> Bool[ndarray, " c"]:
        return self.images > 0

    @cached_property
    def recall(self) -> Float[ndarray, " c"]:
        """(C,) nan where nothing was tested."""
        return np.asarray(np.where(self.tested, self.correct / np.maximum(self.images, 1), np.nan))

    @cached_property
    def sources(self) -> Int[ndarray, " c"] | None:
        """(C,) sources that each class's images come from."""
        return None if self.source is None else self._worth[1]

    @cached_property
    def worth(self) -> Float[ndarray, " c"]:
        """(C,) independent images that each class's images are worth."""
        return self.images.astype(float) if self.source is None else self._worth[0]

    @cached_property
    def _worth(self) -> tuple[Float[ndarray, " c"], Int[ndarray, " c"]]:
        assert self.source is not None
        return effective_images(self.right, self.target, self.source, len(self.names))

    @cached_property
    def worth_correct(self) -> Float[ndarray, " c"]:
        """(C,) the right ones among `worth`."""
        return np.asarray(self.worth * self.correct / np.maximum(self.images, 1))

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Mistakes as columns true, label, images, most frequent first; equal ones in class order."""
        wrong = ~self.right
        both = self.target[wrong] * len(self.names) + self.label[wrong]
        pair, images = np.unique(both, return_counts=True)
        table = pd.DataFrame(
            {"true": pair // len(self.names), "label": pair % len(self.names), "images": images}
        )
        return table.sort_values("images", ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def rarest(self) -> int | None:
        """The group of the rare classes: few, or medium where no few are tested but many are; None without either."""
        many, medium, few = (bool(which.any()) for which in self.of_groups()[1:])
        return 2 if few else 1 if medium and many else None

    @cached_property
    def score_intervals(self) -> list[Interval | None]:
        """95 % intervals of overall, macro, many, medium and few; None without tested classes."""
        chosen = self.of_groups()
        low, high = wilson(np.array([self.right.sum()]), np.array([len(self.right)]))
        ends = [
            (float(low[0]), float(high[0])),
            *(macro_interval(self.worth_correct[w], self.worth[w]) for w in chosen),
        ]
        if self.source is not None:
            drawn = source_bootstrap(self.right, self.target, self.source, chosen)
            ends = [
                (float(np.fmin(a, c)), float(np.fmax(b, d)))
                for (a, b), (c, d) in zip(ends, drawn, strict=True)
            ]
        return [None if np.isnan(a) else (a, b) for a, b in ends]

    def of_groups(self) -> Bool[ndarray, "4 c"]:
        """Which tested classes are in: all, many, medium, few."""
        return np.stack([self.tested, *(self.tested & (self.group == g) for g in range(len(GROUPS)))])


def read_evaluation(run: Run) -> Evaluation | None:
    """The newest evaluation of a run; None where its images are not in the folder, or there are none.

    Raises:
        InputError: a file is damaged.
    """
    table = run.predictions
    if table is None:
        return None
    index = pd.Index([entry["name"] for entry in run.classes], dtype=object)
    experts = [f"expert_{m}" for m in range(1, len(table.columns) + 1) if f"expert_{m}" in table]
    codes = np.stack([index.get_indexer(table[key].astype(object)) for key in ("class", "label", *experts)])
    if table.empty:
        return None
    confidence = table["confidence"].to_numpy(dtype=np.float64)
    raw = table["uncalibrated_confidence"] if "uncalibrated_confidence" in table else table["confidence"]
    paths = table["path"].astype(object)
    return Evaluation(
        names=tuple(index),
        counts=np.array([entry["count"] for entry in run.classes], dtype=np.int64),
        group=np.array([GROUPS.index(entry["group"]) for entry in run.classes], dtype=np.int64),
        paths=tuple(paths),
        target=codes[0],
        label=codes[1],
        votes=codes[2:],
        confidence=confidence,
        uncalibrated=raw.to_numpy(dtype=np.float64),
        source=_sources(run, paths),
        part=run.part,
    )


def _sources(run: Run, paths: pd.Series) -> Int[ndarray, " n"] | None:
    """Codes of the column `group` of splits.csv, where it has one; an image without a group is its own."""
    table = run.splits
    if table is None or "group" not in table:
        return None
    mine = table[table["split"] == run.split].drop_duplicates("path").set_index("path")["group"]
    named = mine.reindex(paths).to_numpy(dtype=object)
    alone = pd.isna(named) | (named == "")
    if alone.all():
        return None
    own = [
        f"\0{n}" if single else str(name) for n, (name, single) in enumerate(zip(named, alone, strict=True))
    ]
    return np.asarray(pd.factorize(np.array(own, dtype=object))[0], dtype=np.int64)
