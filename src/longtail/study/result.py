"""Result files: what a finished run scored, with the command and the kind of machine; one JSON file a cell.

A file without `study` was written before there were studies, and holds several seeds of a row.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from numpy import ndarray
from pydantic import Field, model_validator

from longtail.models import build_model, count_parameters
from longtail.recipe import Recipe
from longtail.records import Record, read_lines, read_record
from longtail.runs import layout
from longtail.runs.atomic_write import atomic_write
from longtail.runs.folder import RunFolder
from longtail.runs.schema import plain
from longtail.types import InputError

REMEDY = "remove it and repeat its command"
SCORES = ("overall", "macro", "many", "medium", "few")
KEPT = (*SCORES, "geometric_mean", "ece", "nll", "experts", "epoch")
MOST_CLASSES = 20  # so few that the recall of each is kept
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Images(Record):
    """Which test images a run named correctly, so that two runs can be compared image by image.

    Attributes:
        hash: of the classes and paths of all images, in the order of `right`: by class, then by path.
        counts: images of each class.
        right: a bit an image, 1 where it is named correctly, in hexadecimal.
    """

    hash: str
    counts: list[Count]
    right: Annotated[str, Field(pattern="^[0-9a-f]*$")]

    @model_validator(mode="after")
    def _fit(self) -> "Images":
        if len(self.right) != 2 * -(-sum(self.counts) // 8):
            raise ValueError("right does not have a bit for each image")
        return self

    @property
    def flags(self) -> ndarray:
        """(N,) whether each image is named correctly."""
        bits = np.frombuffer(bytes.fromhex(self.right), dtype=np.uint8)
        return np.unpackbits(bits, count=sum(self.counts)).astype(bool)

    @property
    def target(self) -> ndarray:
        """(N,) class index of each image."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


class Metrics(Record):
    """Scores of a run, fractions; None for a group without classes."""

    overall: Fraction | None
    macro: Fraction | None
    many: Fraction | None
    medium: Fraction | None
    few: Fraction | None


class SeedResult(Record):
    """What one run scored.

    Attributes:
        metrics: see there.
        seconds: of all its epochs, evaluations during training included.
        recall: of each class, where there are few classes.
        images: see there; None in older files.
    """

    metrics: Metrics
    seconds: Annotated[float, Field(ge=0)]
    recall: dict[str, float] | None = None
    images: Images | None = None


class Result(Record):
    """A result file.

    Attributes:
        table: which table it belongs to; the study's name.
        row: what the table calls its row.
        paper: published top-1 accuracy in per cent.
        command: what repeats it.
        machine: see `longtail.engine.runtime.environment`.
        seeds: seed -> what its run scored.
        study, key: the study and the key of its row; None in older files.
        parameters: trainable numbers of the network that predicts.
        settings: the recipe, without places of this machine.
        split: the evaluation that the scores are from.
    """

    table: str
    row: str
    paper: float | None
    command: str
    machine: dict[str, Any]
    seeds: Annotated[dict[str, SeedResult], Field(min_length=1)]
    study: str | None = None
    key: str | None = None
    parameters: int | None = None
    settings: dict[str, Any] | None = None
    split: str | None = None


def read_result(file: Path) -> Result:
    """A result file.

    Raises:
        InputError: it cannot be read, or is none.
    """
    return read_record(file, Result, REMEDY)


def read_results(folder: Path) -> list[Result]:
    """The results of a folder in the order of their file names; other JSON files lie there too."""
    files = sorted(folder.glob("*.json"))
    return [read_result(file) for file in files if "seeds" in json.loads(file.read_text("utf-8"))]


def write_result(file: Path, value: Mapping[str, Any]) -> None:
    """Write a result file, complete or not at all."""
    with atomic_write(file) as partial:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def collect(run: Path, split: str) -> dict[str, Any]:
    """What a finished run says of one of its evaluations: a `SeedResult`, and the recalls and stages beside it.

    Raises:
        InputError: the run was not evaluated on it, or is damaged.
    """
    folder = RunFolder(run)
    log = [plain(each) for each in read_lines(run / layout.LOG, layout.LOG.form, "train again")]
    if not (run / layout.metrics(split)).is_file():
        raise InputError(
            f"{run} has no scores of {split}: its data has no such part; give data with one, or set data.validation"
        )
    metrics, table = folder.metrics(split), folder.table(split, layout.PER_CLASS)
    recall = dict(zip(table["class"], table["recall"], strict=True))
    stages = {record["stage"]: record.get(split) for record in log}  # the last epoch of each is evaluated
    predictions = folder.table(split, layout.PREDICTIONS)
    return {
        "metrics": {key: metrics[key] for key in KEPT},
        **({"recall": _known(recall)} if len(recall) <= MOST_CLASSES else {}),
        "stages": {name: {key: scores[key] for key in SCORES} for name, scores in stages.items() if scores},
        "seconds": round(sum(record["seconds"] for record in log), 1),
        "images": _images(predictions, table["class"].tolist()),
    }


def machine_of(run: Path) -> dict[str, Any]:
    """The kind of machine that a run began on."""
    return plain(RunFolder(run).read(layout.ENVIRONMENT))


def parameters(recipe: Recipe, classes: int) -> int:
    """Trainable numbers of a recipe's network."""
    with torch.device("meta"):
        plain_start = recipe.model.model_copy(update={"weights": None, "pretrained": False})
        return count_parameters(build_model(plain_start, classes, ("first",)))


def _known(recalls: Mapping[str, float]) -> dict[str, float]:
    return {name: recall for name, recall in recalls.items() if not np.isnan(recall)}


def _images(predictions: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    index = {name: place for place, name in enumerate(names)}
    target = predictions["class"].map(index).to_numpy()
    paths = predictions["path"].to_numpy()
    order = np.lexsort((paths, target))
    lines = "".join(f"{names[target[i]]}\t{paths[i]}\n" for i in order)
    right = (predictions["class"] == predictions["label"]).to_numpy()[order]
    return {
        "hash": hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest(),
        "counts": np.bincount(target, minlength=len(names)).tolist(),
        "right": np.packbits(right).tobytes().hex(),
    }
