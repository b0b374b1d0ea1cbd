"""A run as its folder describes it; nothing is computed and the model is not asked."""

import json
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from longtail.engine.run_folder import RunFolder
from longtail.types import InputError

SPLITS = ("test", "val")
GROUPS = ("many", "medium", "few")
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
        self.status: Mapping[str, Any] = self._files.read_json("status.json")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def finished(self) -> bool:
        return bool(self.status["status"] == "done")

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The sections of recipe.toml."""
        try:
            return tomllib.loads((self.path / "recipe.toml").read_text("utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"cannot read {self.path / 'recipe.toml'} ({error}); restore it") from None

    @cached_property
    def classes(self) -> list[dict[str, Any]]:
        """name, index, count and group of each class."""
        return list(self._files.read_json("classes.json"))

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """One record for each finished epoch."""
        file = self.path / "log.jsonl"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise InputError(f"{file} is damaged ({error}); continue the run with --resume") from None

    @cached_property
    def split(self) -> str | None:
        """The part that the run was last evaluated on: test where there is one, else val."""
        for name in SPLITS:
            if self.has(f"eval/{name}/metrics.json") or any(name in record for record in self.log):
                return name
        return None

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """metrics.json of the finished run; before that the newest scores of the log, if any."""
        if self.has(f"eval/{self.split}/metrics.json"):
            return dict(self._files.read_json(f"eval/{self.split}/metrics.json"))
        scored = [record for record in self.log if self.split in record]
        return {"epoch": scored[-1]["epoch"] + 1, **scored[-1][self.split]} if scored and self.split else None

    def table(self, name: str) -> pd.DataFrame | None:
        """`per_class` or `confusions` of the evaluation; None where there is none. Class names stay text."""
        file = self.path / "eval" / str(self.split) / f"{name}.csv"
        if not file.is_file():
            return None
        numbers = ("recall", "precision")
        return pd.read_csv(
            file, dtype=NAMES, keep_default_na=False, na_values={column: [""] for column in numbers}
        )

    def evaluation_files(self) -> list[str]:
        """metrics.json and per_class.csv, relative to the run folder, where they are."""
        names = (f"eval/{self.split}/metrics.json", f"eval/{self.split}/per_class.csv")
        return [name for name in names if self.has(name)]

    def has(self, name: str) -> bool:
        """Whether the folder holds a file of that name."""
        return (self.path / name).is_file()

    def __str__(self) -> str:
        data, model = self.recipe["data"], self.recipe["model"]
        experts = f"{model['num_experts']} expert" + "s" * (model["num_experts"] > 1)
        own = data["name"] in ("folder", "parquet")
        images = Path(data["path"]).name if own else data["name"]
        return f"{self.recipe['method']['name']} with {model['name']}, {experts}, on {images}"
