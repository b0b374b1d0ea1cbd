"""From an evaluation's counts to scores, and to the files of eval/<split>/."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from longtail.csv_text import rows_of
from longtail.data import Split
from longtail.engine.evaluate import Evaluation, Predictions
from longtail.metrics import EvaluationCounts, class_groups, per_class_rows, to_metrics
from longtail.metrics.reliability import risk_coverage
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.groups import FEW_BELOW, GROUPS, MANY_ABOVE


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
    many_above: int = MANY_ABOVE
    few_below: int = FEW_BELOW

    def scores(self, counts: EvaluationCounts) -> dict[str, Any]:
        """Scores of an evaluation, fractions in [0, 1], None where there is nothing to say."""
        return to_metrics(
            counts, self.counts, self.names, many_above=self.many_above, few_below=self.few_below
        )


def prediction_table(ids: Sequence[str], predictions: Predictions, names: tuple[str, ...]) -> pd.DataFrame:
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


def withhold(table: pd.DataFrame, least: float) -> pd.DataFrame:
    """The table with an empty label where the confidence is below `least`."""
    abstained = table["confidence"] < least
    label = table["label"].mask(abstained, "")
    return table.assign(label=label, abstained=abstained, best_label=table["label"])


def write_evaluation(
    folder: RunFolder,
    name: str,
    split: Split,
    classes: Classes,
    evaluation: Evaluation,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write metrics.json, per_class.csv, confusions.csv, risk_coverage.csv and predictions.parquet of a split.

    Args:
        more: further keys of metrics.json (split, epoch, left_out, ...).

    Returns:
        The content of metrics.json.
    """
    where = partial(layout.evaluation, name)
    counts, predictions = evaluation.calibrated, evaluation.predictions
    images = {
        "unknown_classes": dict(split.unknown_classes),
        "unreadable": [{"path": path, "reason": reason} for path, reason in split.unreadable],
        "repaired": [{"path": path, "ignored": what} for path, what in split.repaired],
    }
    metrics = _metrics(classes, evaluation) | images | dict(more)
    folder.write_json(where(layout.METRICS), metrics)
    rows = per_class_rows(
        counts, classes.counts, classes.names, many_above=classes.many_above, few_below=classes.few_below
    )
    folder.write_csv(where(layout.PER_CLASS), rows_of(pd.DataFrame(rows)))
    folder.write_csv(where(layout.CONFUSIONS), rows_of(_confusions(counts, classes.names)))
    risk = _risk_coverage(split, classes, predictions)
    folder.write_csv(where(layout.RISK_COVERAGE), rows_of(risk))
    table = prediction_table(split.ids, predictions, classes.names)
    if evaluation.temperature != 1:
        table["uncalibrated_confidence"] = predictions.uncalibrated.numpy()
    table.insert(1, "class", [classes.names[index] for index in split.targets.tolist()])
    table["path"] = [path.encode("utf-8", "backslashreplace").decode() for path in table["path"]]
    write = partial(table.to_parquet, index=False, write_page_checksum=True)
    folder.write(where(layout.PREDICTIONS), write)
    return metrics


def _metrics(classes: Classes, evaluation: Evaluation) -> dict[str, Any]:
    """The scores; `ece` and `nll` without the temperature, and beside them, where there is one, with it."""
    scores, fitted = classes.scores(evaluation.counts), {}
    if evaluation.temperature != 1:
        found = classes.scores(evaluation.calibrated)
        fitted = {"temperature": evaluation.temperature}
        fitted |= {f"{key}_calibrated": found[key] for key in ("ece", "nll")}
        scores = found | {key: scores[key] for key in ("ece", "nll")}
    scores |= fitted
    return scores | {key: None for key in scores if key.startswith("nll") and scores[key] == math.inf}


def _risk_coverage(split: Split, classes: Classes, predictions: Predictions) -> pd.DataFrame:
    """What is left, and how much of it is wrong, where predictions below a confidence are withheld.

    A row for each per cent of images left, or a little more where confidences are equal.
    """
    targets = split.targets.cpu()
    groups = class_groups(classes.counts, classes.many_above, classes.few_below)
    of_class = torch.tensor([GROUPS.index(group) for group in groups])
    correct = predictions.labels[:, 0] == targets
    confidence = predictions.confidences[:, 0].double().numpy()
    found = risk_coverage(confidence, correct.numpy(), of_class[targets].numpy(), len(GROUPS))
    at = list(dict.fromkeys(found.at(percent / 100) for percent in range(100, 0, -1))) if len(targets) else []
    images, coverage, error = found.images[:, at], found.coverage[:, at], found.error[:, at]
    columns = {
        "coverage": coverage[0],
        "threshold": found.threshold[at],
        "images": images[0],
        "error": error[0],
    }
    for row, name in enumerate(GROUPS, start=1):
        columns |= {
            f"images_{name}": images[row],
            f"coverage_{name}": coverage[row],
            f"error_{name}": error[row],
        }
    return pd.DataFrame(columns)


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
