"""From a path to a classifier: a run, an exported file, or an exported folder."""

from pathlib import Path

from longtail.predict.classifier import Classifier
from longtail.predict.exported import ExportedClassifier
from longtail.predict.stored import is_pretrained, read_pretrained, read_run


def load(run: str | Path, *, device: str = "auto") -> Classifier:
    """The classifier that a run has trained, or has trained so far, or that `longtail export` wrote.

    Args:
        run: the run folder, an exported folder, or an exported file (.onnx, .pt2).
        device: "auto", "cpu" or "cuda"; exported files run on the processor.

    Raises:
        InputError: it is none of these, is damaged, or has no weights yet.
    """
    path = Path(run)
    if path.is_file():
        return ExportedClassifier(path, device)
    return Classifier(read_pretrained(path) if is_pretrained(path) else read_run(path), device)
