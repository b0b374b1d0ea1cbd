"""A run as its folder describes it; nothing is computed and the model is not asked."""

import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from longtail.errors import InputError
from longtail.plurals import counted
from longtail.records import Form, check_record, decoded, parse_toml, read_bytes, read_lines, short
from longtail.runs import layout
from longtail.runs.folder import RESTORE, RunFolder
from longtail.runs.groups import GROUPS
from longtail.runs.layout import RunFile
from longtail.runs.schema import check_epochs, plain
from longtail.source_names import data_name

SPLITS = ("test", "val")
PART_NAMES = {"test": "test", "val": "validation"}
SCORES = ("overall", "macro", *GROUPS)


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
        """The sections of recipe.toml; of another version too, or of a method that is not installed here."""
        file = self.path / layout.RECIPE
        sections = parse_toml(decoded(read_bytes(file, RESTORE), str(file), RESTORE), str(file), RESTORE)
        return plain(check_record(sections, layout.RECIPE.form, str(file), RESTORE))

    @cached_property
    def classes(self) -> list[dict[str, Any]]:
        """name, index, count and group of each class."""
        return self._files.classes()

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """One record for each finished epoch."""
        file = self.path / layout.LOG
        remedy = f"resume the run with: longtail train {shlex.quote(str(self.path))} --resume"
        records = read_lines(file, layout.LOG.form, remedy) if file.exists() else []
        try:
            check_epochs(records, self.status["epochs"])
        except ValueError as error:
            raise InputError(f"{file} is damaged ({error}); {remedy}") from None
        return [plain(record) for record in records]

    @cached_property
    def split(self) -> str | None:
        """What the run was evaluated on: test where there is one, else val, else the newest other of `eval/`.

        Among those others, predictions for an exchanged class prior come last.
        """
        for name in SPLITS:
            if self.has(layout.metrics(name)) or any(name in record for record in self.log):
                return name
        others = sorted(
            self.path.glob(layout.metrics("*")), key=lambda file: (file.stat().st_mtime, str(file))
        )
        names = [file.parent.name for file in others]
        plain = [name for name in names if "prior" not in self._files.metrics(name)]
        return next(reversed(plain or names), None)

    @property
    def unreadable(self) -> dict[str, str]:
        """Path -> reason of the images that could not be evaluated."""
        return {entry["path"]: entry["reason"] for entry in (self.metrics or {}).get("unreadable", ())}

    @property
    def part(self) -> str:
        """What its images are called: "test", "validation", or "evaluated" where they came from elsewhere."""
        return PART_NAMES.get(str(self.split), "evaluated")

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """The newest scores: metrics.json, or those of the log where a run was resumed since, if any."""
        scored = [record for record in self.log if self.split in SPLITS and self.split in record]
        latest = scored[-1] if scored else None
        if self._evaluated and (latest is None or self._evaluated["epoch"] > latest["epoch"]):
            return self._evaluated
        return {"epoch": latest["epoch"] + 1, **latest[str(self.split)]} if latest else None

    @cached_property
    def _evaluated(self) -> dict[str, Any] | None:
        if not self.has(layout.metrics(str(self.split))):
            return None
        return self._files.metrics(str(self.split), self._again)

    @cached_property
    def new_temperature(self) -> float | None:
        """The temperature of the weights, where `calibrate` changed it since the evaluation; else None."""
        metrics = self._evaluated
        found = self.read(layout.DESCRIPTION) if metrics else None
        if metrics is None or found is None or metrics["epoch"] != found.epoch:
            return None
        return None if found.temperature == metrics.get("temperature", 1.0) else found.temperature

    @property
    def _again(self) -> str:
        images = "" if self.split in SPLITS else " --data FOLDER"
        return f"write it again with: longtail evaluate {shlex.quote(str(self.path))}{images}"

    @cached_property
    def splits(self) -> pd.DataFrame | None:
        """path, class, split and, where groups are known, group of each image; None without splits.csv."""
        if not self.has(layout.SPLITS):
            return None
        return self._files.splits("restore it, or remove it to go without groups")

    def table(self, name: str) -> pd.DataFrame | None:
        """`per_class` or `confusions` of the evaluation; None where there is none. Class names stay text."""
        file = self.path / layout.evaluation(str(self.split), f"{name}.csv")
        if not file.exists() or self.metrics is not self._evaluated:
            return None
        table = self._files.table(str(self.split), file.name, self._again)
        if name == "per_class":
            self._check_images(file, int(table["test_images"].sum()))
        elif (classes := self.table("per_class")) is not None:
            self._check_mistakes(file, table, classes)
        return table

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """Every evaluated image: path, class, label, confidence, expert_1 and so on; None where there are none."""
        file = self.path / layout.evaluation(str(self.split), layout.PREDICTIONS)
        if not file.exists() or self.metrics is not self._evaluated:
            return None
        table = self._files.table(str(self.split), file.name, self._again)
        self._check_images(file, len(table))
        if (
            f"expert_{len((self.metrics or {})['experts'])}"
            != [c for c in table if c.startswith("expert_")][-1]
        ):
            raise InputError(
                f"{file} is damaged (it has votes of other experts than {layout.METRICS}); {self._again}"
            )
        return table

    def _check_mistakes(self, file: Path, confusions: pd.DataFrame, classes: pd.DataFrame) -> None:
        wrong = confusions.groupby("class")["images"].sum()
        for name, images, correct in zip(
            classes["class"], classes["test_images"], classes["correct"], strict=True
        ):
            if wrong.get(name, 0) != images - correct:
                raise InputError(
                    f"{file} is damaged (of {short(name)} it has {wrong.get(name, 0):,} wrong, {layout.PER_CLASS} "
                    f"{images - correct:,}); {self._again}"
                )

    def _check_images(self, file: Path, images: int) -> None:
        said = (self.metrics or {})["num_images"]
        if images != said:
            raise InputError(
                f"{file} is damaged (it has {counted(images, 'image')}, {layout.METRICS} {said:,}); {self._again}"
            )

    def evaluation_files(self) -> list[str]:
        """metrics.json and per_class.csv, relative to the run folder, where they are."""
        names = tuple(layout.evaluation(str(self.split), file) for file in (layout.METRICS, layout.PER_CLASS))
        return [name for name in names if self.has(name)]

    def read(self, file: RunFile[Form], remedy: str = "") -> Form | None:
        """The content of a JSON file of the folder; None where there is none.

        Raises:
            InputError: it is not of that form.
        """
        return self._files.read(file, remedy) if self.has(file) else None

    def has(self, name: str) -> bool:
        """Whether the folder holds something of that name."""
        return (self.path / name).exists()

    def __str__(self) -> str:
        data, model = self.recipe["data"], self.recipe["model"]
        experts = f"{model['num_experts']} expert" + "s" * (model["num_experts"] > 1)
        images = data_name(data["name"], data.get("path"))
        return f"{self.recipe['method']['name']} with {model['name']}, {experts}, on {images}"
