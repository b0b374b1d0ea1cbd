"""The tables of a run folder, checked where they are read: columns, types, ranges, and that they fit the run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from longtail.csv_text import read_csv
from longtail.errors import InputError
from longtail.machine import pass_on
from longtail.records import short
from longtail.runs import layout
from longtail.runs.groups import GROUPS

SPLITS = ("train", "val", "test")
ROUNDING = 1e-5  # of a float32 probability
ClassEntries = Sequence[Mapping[str, Any]]


def read_per_class(file: Path, classes: ClassEntries, remedy: str) -> pd.DataFrame:
    """per_class.csv of an evaluation.

    Args:
        file: see above.
        classes: of the run, see `RunFolder.classes`.
        remedy: what to do where it is damaged.

    Returns:
        C rows: class, group, train_images, test_images, correct, recall and precision (nan where there is none),
        mistaken_for ("" where there is none).

    Raises:
        InputError: it is no such table, or does not fit the classes.
    """
    with _sound(file, remedy):
        table = _csv(file, ("class", "group", "mistaken_for"))
        names = [entry["name"] for entry in classes]
        if table["class"].tolist() != names:
            raise ValueError(f"its classes are not those of {layout.CLASSES}")
        if table["group"].tolist() != [entry["group"] for entry in classes]:
            raise ValueError(f"its groups are not those of {layout.CLASSES}")
        for column in ("train_images", "test_images", "correct"):
            _counts(table, column)
        if table["train_images"].tolist() != [entry["count"] for entry in classes]:
            raise ValueError(f"its train_images are not those of {layout.CLASSES}")
        for column in ("recall", "precision"):
            _fractions(table, column)
        _known(table, "mistaken_for", {*names, ""})
        images, recall = table["test_images"].to_numpy(), table["recall"].to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            wrong = ~np.isclose(recall, table["correct"].to_numpy() / images, equal_nan=True)
        if wrong.any() or (table["correct"] > images).any():
            raise ValueError("correct, test_images and recall contradict each other")
        return table


def read_confusions(file: Path, classes: ClassEntries, remedy: str) -> pd.DataFrame:
    """confusions.csv of an evaluation: class, predicted and images; see `read_per_class`."""
    with _sound(file, remedy):
        table = _csv(file, ("class", "predicted"))
        for column in ("class", "predicted"):
            _known(table, column, {entry["name"] for entry in classes})
        _counts(table, "images")
        return table


def read_predictions(file: Path, classes: ClassEntries, remedy: str) -> pd.DataFrame:
    """predictions.parquet of an evaluation, see `read_per_class`.

    Returns:
        A row an image: path, class, label, confidence, agreement, expert_1, expert_2, ...; uncalibrated_confidence
        where a temperature was fitted.
    """
    with _sound(file, remedy):
        table = pd.read_parquet(file, page_checksum_verification=True)
        if not table.columns.is_unique:
            raise ValueError("a column is there twice")
        table.columns = [str(column) for column in table.columns]
        votes = [column for column in table if column.startswith("expert_")]
        if votes != [f"expert_{number}" for number in range(1, len(votes) + 1)] or not votes:
            raise ValueError("no votes of expert_1, expert_2, ...")
        names = {entry["name"] for entry in classes}
        _text(table, "path")
        for column in ("class", "label", *votes):
            _known(table, column, names)
        raw = "uncalibrated_confidence"
        for column in ("confidence", "agreement", *([raw] if raw in table else [])):
            _fractions(table, column, missing=False)
        return table


def read_splits(file: Path, classes: ClassEntries, remedy: str) -> pd.DataFrame:
    """splits.csv, all of it text: path, class, split, and more where more is known; see `read_per_class`."""
    with _sound(file, remedy):
        table = _read(file)
        _text(table, "path")
        # as predictions.parquet has it, which knows no bytes that are no Unicode
        table["path"] = [path.encode("utf-8", "backslashreplace").decode() for path in table["path"]]
        _known(table, "class", {entry["name"] for entry in classes})
        _known(table, "split", set(SPLITS))
        trained = table.loc[table["split"] == "train", "class"].value_counts()
        wrong = [entry["name"] for entry in classes if trained.get(entry["name"], 0) != entry["count"]]
        if wrong:
            raise ValueError(
                f"it does not have as many training images of {short(wrong[0])} as {layout.CLASSES}"
            )
        return table


def read_table(file: Path, classes: ClassEntries, remedy: str) -> pd.DataFrame:
    """A table of an evaluation, by the name of its file; see `read_per_class`."""
    readers = {
        layout.PER_CLASS: read_per_class,
        layout.CONFUSIONS: read_confusions,
        layout.PREDICTIONS: read_predictions,
    }
    return readers[file.name](file, classes, remedy)


def read_risk_coverage(file: Path, remedy: str) -> pd.DataFrame:
    """risk_coverage.csv of an evaluation, the highest coverage first; see `read_per_class`."""
    with _sound(file, remedy):
        table = _csv(file, ())
        for suffix in ("", *(f"_{group}" for group in GROUPS)):
            _counts(table, f"images{suffix}")
            for column in ("coverage", "error"):
                _fractions(table, f"{column}{suffix}", missing=bool(suffix))
        _fractions(table, "threshold", missing=False)
        coverage = table["coverage"]
        if len(table) and not (coverage.iloc[0] == 1 and coverage.is_monotonic_decreasing):
            raise ValueError("coverage should fall from 1")
        return table


@contextmanager
def _sound(file: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise InputError(f"{file} is damaged (no column {error}); {remedy}") from None
    except (OSError, ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        pass_on(error)
        reason = short(ValueError(str(error).splitlines()[0]) if str(error) else error, 200)
        raise InputError(f"{file} is damaged ({reason}); {remedy}") from None


def _opened(file: Path) -> Path:
    if not file.is_file():
        raise ValueError("it is no file")
    return file


def _read(file: Path) -> pd.DataFrame:
    return pd.DataFrame(read_csv(_opened(file)).columns, dtype=object)


def _csv(file: Path, text: Sequence[str]) -> pd.DataFrame:
    """A table in which only empty cells of numbers are missing values."""
    table = _read(file)
    for column in table.columns.difference(text):
        table[column] = _numbers(table[column])
    return table


def _numbers(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        return pd.to_numeric(texts.replace("", None))
    except ValueError:
        numbers = pd.to_numeric(
            texts.str.slice(0, 4000), errors="coerce"
        )  # Python reads no longer whole numbers
        wrong = texts[numbers.isna() & (texts != "") | (texts.str.len() > 4000)]
        raise ValueError(f"{texts.name} should be numbers, not {short(wrong.iloc[0])}") from None


def _text(table: pd.DataFrame, column: str) -> None:
    if len(table) and pd.api.types.infer_dtype(table[column], skipna=False) != "string":
        raise ValueError(f"{column} should be text")


def _known(table: pd.DataFrame, column: str, names: set[str]) -> None:
    _text(table, column)
    foreign = table[column][~table[column].isin(list(names))]
    if len(foreign):
        valid = ", ".join(SPLITS) if column == "split" else f"the classes that {layout.CLASSES} names"
        raise ValueError(f"{column} is {short(foreign.iloc[0])}; valid are {valid}")


def _counts(table: pd.DataFrame, column: str) -> None:
    values = table[column]
    if len(values) and not (pd.api.types.is_integer_dtype(values) and values.between(0, 2**62).all()):
        raise ValueError(f"{column} should be whole numbers of 0 or more")
    table[column] = values.astype("int64")


def _fractions(table: pd.DataFrame, column: str, *, missing: bool = True) -> None:
    if pd.api.types.is_bool_dtype(table[column]):
        raise ValueError(f"{column} should be numbers")
    values = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
    sound = (values >= 0) & (values <= 1 + ROUNDING)
    if not (sound | np.isnan(values) if missing else sound).all():
        raise ValueError(f"{column} should be from 0 to 1")
    table[column] = values
