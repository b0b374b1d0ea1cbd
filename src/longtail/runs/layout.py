"""What a run folder holds: the name of every file, the form of what is in it, and the version of all of it.

No other file of the package spells these names; docs/cli.md says what each file is for. The forms of tables are in
`longtail.runs.tables`. This file imports no library, for commands name files before they load any.
"""

import importlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from longtail.runs import schema

FORMAT_VERSION = 1
"""Of a run folder, in status.json. It rises where an older longtail could no longer read what is written."""
WEIGHTS_VERSION = 1
"""Of a file of weights, in its metadata."""

Form = TypeVar("Form")


class RunFile(str, Generic[Form]):
    """The name of a file, relative to the run folder, with the form of what it holds.

    Args:
        name: see above.
        form: name of the class in `longtail.runs.schema`.
    """

    _form: str

    def __new__(cls, name: str, form: str) -> "RunFile[Form]":
        made = super().__new__(cls, name)
        made._form = form
        return made

    @property
    def form(self) -> type[Form]:
        """What the content is checked for where it is read."""
        found: Any = getattr(importlib.import_module("longtail.runs.schema"), self._form)
        return found  # type: ignore[no-any-return]


# written before the first step
RECIPE: "RunFile[schema.StoredRecipe]" = RunFile("recipe.toml", "StoredRecipe")
ENVIRONMENT: "RunFile[schema.Environment]" = RunFile("env.json", "Environment")
CLASSES: "RunFile[schema.ClassRows]" = RunFile("classes.json", "ClassRows")
AUDIT: "RunFile[schema.AuditRecord]" = RunFile("audit.json", "AuditRecord")
SEARCH: "RunFile[schema.SearchRecord]" = RunFile("search.json", "SearchRecord")
SPLITS = "splits.csv"
UNREADABLE = "unreadable.csv"

# written after each epoch
STATUS: "RunFile[schema.Status]" = RunFile("status.json", "Status")
LOG: "RunFile[schema.EpochRecord]" = RunFile("log.jsonl", "EpochRecord")  # a line each
DESCRIPTION: "RunFile[schema.WeightsRecord]" = RunFile("weights/model.json", "WeightsRecord")
WEIGHTS = "weights/last.safetensors"
STATE = "state/last.pt"

# of an evaluation, see `evaluation`
METRICS: "RunFile[schema.Metrics]" = RunFile("metrics.json", "Metrics")
PER_CLASS = "per_class.csv"
CONFUSIONS = "confusions.csv"
RISK_COVERAGE = "risk_coverage.csv"
PREDICTIONS = "predictions.parquet"

# written by other commands
PLOTS, FIGURES, EXPORTS, EXPLAIN = "plots", "figures", "export", "explain"
TRAINING_PLOT, CLASS_PLOT = f"{PLOTS}/training.png", f"{PLOTS}/per_class.png"
REPORT = "report.html"
CARD = "MODEL_CARD.md"
EXPLAINED, SHEET = "explain.json", "sheet.png"
EXPLANATIONS: "RunFile[schema.Explanations]" = RunFile(f"{EXPLAIN}/{EXPLAINED}", "Explanations")

LOCK = ".lock"  # while a process writes

# of several seeds, in the folder of their runs
SUMMARY: "RunFile[schema.Summary]" = RunFile("summary.json", "Summary")

# in other folders that longtail writes: a check of data, an exported folder, a packed set
COUNTS, COUNTS_PLOT, DUPLICATES = "counts.csv", "counts.png", "duplicates.csv"
EXPORTED, EXPORTED_WEIGHTS, PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
PACKED = "packed.json"


def evaluation(split: str, file: str = "") -> str:
    """The folder of an evaluation, or a file in it; `"*"` is the pattern of all evaluations.

    >>> evaluation("test"), evaluation("test", PER_CLASS)
    ('eval/test', 'eval/test/per_class.csv')
    """
    return f"eval/{split}/{file}".rstrip("/")


def metrics(split: str) -> "RunFile[schema.Metrics]":
    """metrics.json of an evaluation."""
    return RunFile(evaluation(split, METRICS), "Metrics")


def seed_folder(seed: int | str) -> str:
    """The run folder of one of several seeds; `"*"` is the pattern of all of them.

    >>> seed_folder(3)
    'seed-3'
    """
    return f"seed-{seed}"
