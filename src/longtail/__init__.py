"""Train image classifiers that do not fail on rare classes, and know how well they do on each."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longtail.api import evaluate as evaluate
    from longtail.api import train as train
    from longtail.api import train_seeds as train_seeds
    from longtail.estimator import LongTailClassifier as LongTailClassifier
    from longtail.predict import Classifier as Classifier
    from longtail.predict import load as load
    from longtail.runs import Run as Run
    from longtail.runs import SeedRuns as SeedRuns
    from longtail.types import InputError as InputError

    __version__: str

_HOME = {
    "Classifier": "longtail.predict",
    "InputError": "longtail.types",
    "LongTailClassifier": "longtail.estimator",
    "Run": "longtail.runs",
    "SeedRuns": "longtail.runs",
    "evaluate": "longtail.api",
    "load": "longtail.predict",
    "train": "longtail.api",
    "train_seeds": "longtail.api",
}

__all__ = [
    "Classifier",
    "InputError",
    "LongTailClassifier",
    "Run",
    "SeedRuns",
    "__version__",
    "evaluate",
    "load",
    "train",
    "train_seeds",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and with it torch, only when it is asked for."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("longtail")
    if name not in _HOME:
        raise AttributeError(f"module 'longtail' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
