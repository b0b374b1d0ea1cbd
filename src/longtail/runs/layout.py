"""What a run folder holds: the name of every file, and the version of this form.

No other file spells these names. Docs: docs/cli.md, "The run folder".
"""

FORMAT_VERSION = 1
"""Of a run folder, in status.json. It rises where an older longtail could no longer read what is written."""
WEIGHTS_VERSION = 1
"""Of a file of weights, in its metadata."""

# written before the first step
RECIPE = "recipe.toml"
ENVIRONMENT = "env.json"
CLASSES = "classes.json"
AUDIT = "audit.json"
SPLITS = "splits.csv"
UNREADABLE = "unreadable.csv"
SEARCH = "search.json"

# written after each epoch
STATUS = "status.json"
LOG = "log.jsonl"
STATE = "state/last.pt"
WEIGHTS = "weights/last.safetensors"
DESCRIPTION = "weights/model.json"

# of an evaluation, in eval/<split>/
METRICS = "metrics.json"
PER_CLASS = "per_class.csv"
CONFUSIONS = "confusions.csv"
RISK_COVERAGE = "risk_coverage.csv"
PREDICTIONS = "predictions.parquet"

# written by other commands
TRAINING_PLOT = "plots/training.png"
CLASS_PLOT = "plots/per_class.png"
REPORT = "report.html"
CARD = "MODEL_CARD.md"
FIGURES, EXPORTS, EXPLAIN = "figures", "export", "explain"
EXPLANATIONS = "explain.json"  # in explain/
SHEET = "sheet.png"

LOCK = ".lock"  # while a process trains

# of several seeds, in the folder that holds their runs
SUMMARY = "summary.json"


def evaluation(split: str, file: str = "") -> str:
    """The folder of an evaluation, or a file in it.

    >>> evaluation("test"), evaluation("val", METRICS)
    ('eval/test', 'eval/val/metrics.json')
    """
    return f"eval/{split}/{file}".rstrip("/")


def seed_folder(seed: int | str) -> str:
    """The run folder of one of several seeds; `"*"` is the pattern of all.

    >>> seed_folder(3)
    'seed-3'
    """
    return f"seed-{seed}"
