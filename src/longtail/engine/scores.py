"""From an evaluation's counts to scores, and to the files of eval/<split>/."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from longtail.data import Split
from longtail.engine.evaluate import Predictions
from longtail.engine.run_folder import RunFolder
from longtail.metrics import EvaluationCounts, per_class_rows, to_metrics


@dataclass(frozen=True)
class Classes:
    """The classes a model knows.

    Attributes:
        names: C names, in the order of the model's outputs.
        counts: (C,) training images.
        many_above, few_below: edges of the groups, in training images.
    """

    names: tuple[str, ...]
    counts: Tensor
    many_above: int = 100
    few_below: int = 20

    def scores(self, counts: EvaluationCounts) -> dict[str, Any]:
        """Scores of an evaluation, fractions in [0, 1], None where there is nothing to say."""
        return to_metrics(
            counts, self.counts, self.names, many_above=self.many_above, few_below=self.few_below
        )


def prediction_table(ids: tuple[str, ...], predictions: Predictions, names: tuple[str, ...]) -> pd.DataFrame:
    """One row an image: path, label, confidence, agreement, each expert's vote, then the next best classes."""
    order, confidence, votes = (
        column.numpy() for column in (predictions.labels, predictions.confidences, predictions.experts)
    )
    named = np.asarray(names, dtype=object)
    columns: dict[str, Any] = {
        "path": pd.Series(ids, dtype=object),  # file names need not be valid Unicode
        "label": named[order[:, 0]],
        "confidence": confidence[:, 0],
        "agreement": predictions.agreement.numpy(),
    }
    for expert in range(votes.shape[1]):
        columns[f"expert_{expert + 1}"] = named[votes[:, expert]]
    for rank in range(1, order.shape[1]):
        columns[f"label_{rank + 1}"] = named[order[:, rank]]
        columns[f"confidence_{rank + 1}"] = confidence[:, rank]
    return pd.DataFrame(columns)


def write_evaluation(
    folder: RunFolder,
    name: str,
    split: Split,
    classes: Classes,
    counts: EvaluationCounts,
    predictions: Predictions,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write metrics.json, per_class.csv, confusions.csv and predictions.parquet of a split.

    Args:
        more: further keys of metrics.json (epoch, unknown_classes, ...).

    Returns:
        The content of metrics.json.
    """
    where = f"eval/{name}"
    metrics = classes.scores(counts) | dict(more)
    folder.write_json(f"{where}/metrics.json", metrics)
    rows = per_class_rows(
        counts, classes.counts, classes.names, many_above=classes.many_above, few_below=classes.few_below
    )
    folder.write_text(f"{where}/per_class.csv", pd.DataFrame(rows).to_csv(index=False))
    folder.write_text(f"{where}/confusions.csv", _confusions(counts, classes.names).to_csv(index=False))
    table = prediction_table(split.ids, predictions, classes.names)
    table.insert(1, "class", [classes.names[index] for index in split.targets.tolist()])
    table["path"] = [path.encode("utf-8", "backslashreplace").decode() for path in table["path"]]
    folder.write(f"{where}/predictions.parquet", lambda file: table.to_parquet(file, index=False))
    return metrics


def _confusions(counts: EvaluationCounts, names: tuple[str, ...]) -> pd.DataFrame:
    """Mistakes only, most frequent first."""
    confusion = counts.confusion.cpu().numpy().copy()
    np.fill_diagonal(confusion, 0)
    true, predicted = confusion.nonzero()
    images = confusion[true, predicted]
    order = np.argsort(-images, kind="stable")
    named = np.asarray(names, dtype=object)
    return pd.DataFrame(
        {"class": named[true[order]], "predicted": named[predicted[order]], "images": images[order]}
    )
