"""A run as its folder describes it; nothing is computed and the model is not asked."""

import json
import shlex
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from longtail.data.options import data_name
from longtail.engine.run_folder import RunFolder
from longtail.metrics.groups import GROUPS
from longtail.types import InputError

SPLITS = ("test", "val")
PART_NAMES = {"test": "test", "val": "validation"}
SCORES = ("overall", "macro", *GROUPS)
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)  # shares of the images answered, in tables
ENOUGH = 10  # test images of a class below which its recall is told as a count only
NAMES = {"class": str, "group": str, "mistaken_for": str, "predicted": str}


class Run:
    """The files of a run folder, each read when it is asked for.

    Args:
        path: the run folder.

    Raises:
        InputError: it is no run folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"{self.path} does not exist or is no folder; give a folder that `train` made")
        self._files = RunFolder(self.path)
        self.status: Mapping[str, Any] = self._files.status()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The run folder's own name."""
        return self.path.resolve().name

    @property
    def finished(self) -> bool:
        return bool(self.status["status"] == "done")

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The sections of recipe.toml."""
        try:
            sections = tomllib.loads((self.path / "recipe.toml").read_text("utf-8"))
            sections["data"]["name"], sections["model"]["name"], sections["method"]["name"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"cannot read {self.path / 'recipe.toml'} ({error}); restore it") from None
        return sections

    @cached_property
    def classes(self) -> list[dict[str, Any]]:
        """name, index, count and group of each class."""
        return list(self._files.read_json("classes.json"))

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """One record for each finished epoch."""
        file = self.path / "log.jsonl"
        try:
            lines = file.read_text("utf-8").splitlines() if file.is_file() else []
            records = [json.loads(line) for line in lines]
            if not all({"epoch", "stage", "loss"} <= record.keys() for record in records):
                raise ValueError("an epoch without its number, stage or loss")
        except (ValueError, AttributeError) as error:
            raise InputError(f"{file} is damaged ({error}); continue the run with --resume") from None
        return records

    @cached_property
    def split(self) -> str | None:
        """What the run was evaluated on: test where there is one, else val, else the newest other of `eval/`.

        Among those others, predictions for an exchanged class mix come last.
        """
        for name in SPLITS:
            if self.has(f"eval/{name}/metrics.json") or any(name in record for record in self.log):
                return name
        others = sorted(
            self.path.glob("eval/*/metrics.json"), key=lambda file: (file.stat().st_mtime, str(file))
        )
        names = [file.parent.name for file in others]
        plain = [name for name in names if "prior" not in self._files.read_json(f"eval/{name}/metrics.json")]
        return next(reversed(plain or names), None)

    @property
    def unreadable(self) -> dict[str, str]:
        """Path -> reason of the images that could not be evaluated."""
        try:
            return {entry["path"]: entry["reason"] for entry in (self.metrics or {}).get("unreadable", ())}
        except (TypeError, KeyError):
            raise InputError(
                f"{self.path}/eval/{self.split}/metrics.json does not say paths and reasons of unreadable images as "
                f"this version does; evaluate it again: longtail evaluate {self.path}"
            ) from None

    @property
    def part(self) -> str:
        """What its images are called: "test", "validation", or "evaluated" where they came from elsewhere."""
        return PART_NAMES.get(str(self.split), "evaluated")

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """The newest scores: metrics.json, or those of the log where a run has gone on since, if any."""
        scored = [record for record in self.log if self.split in SPLITS and self.split in record]
        latest = scored[-1] if scored else None
        if self._evaluated and (latest is None or self._evaluated["epoch"] > latest["epoch"]):
            return self._evaluated
        return {"epoch": latest["epoch"] + 1, **latest[str(self.split)]} if latest else None

    @cached_property
    def _evaluated(self) -> dict[str, Any] | None:
        file = f"eval/{self.split}/metrics.json"
        if not self.has(file):
            return None
        found = self._files.read_json(file)
        whole = isinstance(found, dict) and {"overall", "num_images"} <= found.keys()
        if not whole or not isinstance(found.get("epoch"), int):
            raise InputError(f"{self.path / file} is damaged; {self._again}")
        return dict(found)

    @property
    def _again(self) -> str:
        images = "" if self.split in SPLITS else " --data FOLDER"
        return f"write it again with: longtail evaluate {shlex.quote(str(self.path))}{images}"

    @cached_property
    def splits(self) -> pd.DataFrame | None:
        """path, class, split and, where groups are known, group of each image; None without splits.csv."""
        file = self.path / "splits.csv"
        if not file.is_file():
            return None
        try:
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
            table[["path", "split"]]
        except (ValueError, OSError, KeyError) as error:
            raise InputError(
                f"{file} is damaged ({error}); restore it, or remove it to go without groups"
            ) from None
        return table

    def table(self, name: str) -> pd.DataFrame | None:
        """`per_class` or `confusions` of the evaluation; None where there is none. Class names stay text."""
        file = self.path / "eval" / str(self.split) / f"{name}.csv"
        if not file.is_file() or self.metrics is not self._evaluated:
            return None
        empty = {column: [""] for column in ("recall", "precision")}
        try:
            return pd.read_csv(file, dtype=NAMES, keep_default_na=False, na_values=empty)
        except ValueError as error:
            raise InputError(f"{file} is damaged ({error}); {self._again}") from None

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """Every evaluated image: path, class, label, confidence, expert_1 and so on; None where there are none."""
        file = self.path / "eval" / str(self.split) / "predictions.parquet"
        if not file.is_file() or self.metrics is not self._evaluated:
            return None
        try:
            table = pd.read_parquet(file)
        except (ValueError, OSError) as error:
            raise InputError(f"{file} is damaged ({error}); {self._again}") from None
        missing = {"path", "class", "label", "confidence", "expert_1"} - set(table.columns)
        if missing:
            raise InputError(f"{file} is damaged (no column {min(missing)!r}); {self._again}")
        named = [
            column for column in table if column in ("class", "label") or str(column).startswith("expert_")
        ]
        if not table[named].isin([entry["name"] for entry in self.classes]).to_numpy().all():
            raise InputError(f"{file} is damaged (a class that classes.json does not name); {self._again}")
        return table

    def evaluation_files(self) -> list[str]:
        """metrics.json and per_class.csv, relative to the run folder, where they are."""
        names = (f"eval/{self.split}/metrics.json", f"eval/{self.split}/per_class.csv")
        return [name for name in names if self.has(name)]

    def json(self, name: str) -> Any:
        """The content of a JSON file of the folder, None where there is none."""
        return self._files.read_json(name) if self.has(name) else None

    def has(self, name: str) -> bool:
        """Whether the folder holds a file of that name."""
        return (self.path / name).is_file()

    def __str__(self) -> str:
        data, model = self.recipe["data"], self.recipe["model"]
        experts = f"{model['num_experts']} expert" + "s" * (model["num_experts"] > 1)
        images = data_name(data["name"], data.get("path"))
        return f"{self.recipe['method']['name']} with {model['name']}, {experts}, on {images}"
