"""From a path to what predicts: a run, or an exported file or folder."""

import os
from pathlib import Path

from longtail.caller_words import PYTHON, Words
from longtail.predict.classifier import Classifier
from longtail.predict.exported import ExportedClassifier
from longtail.predict.predictor import Predictor
from longtail.predict.stored import read_pretrained, read_run
from longtail.runs import layout
from longtail.types import InputError


def load(path: str | Path, *, device: str = "auto", words: Words = PYTHON) -> Predictor:
    """What names images: the classifier that a run has trained, or has trained so far, or that was exported.

    Args:
        path: the run folder, an exported folder, or an exported file (.onnx, .pt2).
        device: "auto", "cpu" or "cuda"; exported files run on the CPU.
        words: how the caller asks for things; messages say it so.

    Raises:
        InputError: it is none of these, is damaged, or has no weights yet.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"a value of type {type(path).__name__} is given; give the path of a run or an exported file"
        )
    if not Path(path).is_file():
        return load_run(path, device=device, words=words)
    found = ExportedClassifier(Path(path), device)
    found.words = words
    return found


def load_run(path: str | Path, *, device: str = "auto", words: Words = PYTHON) -> Classifier:
    """The classifier of a run folder or an exported folder, with its network.

    Args:
        path: the folder.
        device: "auto", "cpu" or "cuda".
        words: of the caller, see `load`.

    Raises:
        InputError: it is none of these, is damaged, or has no weights yet.
    """
    if Path(path).is_file():
        raise InputError(f"{path} is a file; give a folder that `train` made")
    stored = read_pretrained(path) if (Path(path) / layout.EXPORTED).exists() else read_run(path)
    found = Classifier(stored, device)
    found.words = words
    return found
