"""A run as a file or folder to deploy, compared with the run on real images before it is declared done."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from longtail.data.dataset import counted
from longtail.export.card import model_card
from longtail.export.check import TOLERANCE, Agreement, compare, real_images
from longtail.export.describe import describe, summary
from longtail.export.folder import write_folder
from longtail.export.graph import trace
from longtail.export.onnx_file import onnx_bytes, require_onnx
from longtail.export.place import check_free
from longtail.export.pt2_file import pt2_bytes
from longtail.predict import Classifier, load
from longtail.predict.stored import read_run
from longtail.runs import layout
from longtail.runs.atomic_write import atomic_write
from longtail.types import InputError

__all__ = ["FORMATS", "Exported", "describe", "export", "model_card"]

Write = Callable[[torch.export.ExportedProgram, Mapping[str, Any]], bytes]
WRITERS: dict[str, Write] = {"onnx": onnx_bytes, "pt2": pt2_bytes}
FORMATS = (*WRITERS, "folder")


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: the file or folder.
        summary: one line of the model.
        agreement: how it compares with the run.
        card: the model card, where one was written.
        note: what to know before trusting it, if anything.
    """

    path: Path
    summary: str
    agreement: Agreement
    card: Path | None
    note: str | None


def export(
    run: str | Path,
    format: str = "onnx",
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a run as one file (or folder) and compare that with the run on at most 64 real images.

    Args:
        run: the run folder.
        format: "onnx", "pt2" (torch.export), or "folder" (weights, configuration and model card).
        out: the file or folder; default: `export/model.onnx`, `export/model.pt2` or `export/model` in the run folder.
        data: images to compare on, instead of the run's own.
        overwrite: replace what an earlier export wrote.

    Raises:
        InputError: something given cannot be used, or the file's probabilities differ from the run's by more than
            1e-4; nothing is left behind.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r} is not known; choose {', '.join(FORMATS)}")
    if Path(run).is_file():
        raise InputError(f"{run} is a file; give a run folder that `train` made")
    if format == "onnx":
        require_onnx()
    folder = format == "folder"
    target = (
        Path(out)
        if out is not None
        else Path(run) / layout.EXPORTS / ("model" if folder else f"model.{format}")
    )
    check_free(target, overwrite=overwrite, folder=folder)
    if not folder and target.suffix.lower() != f".{format}":
        fitting = target.with_suffix(f".{format}")
        raise InputError(f"{target} does not end in .{format}; give {fitting}, or another --format")
    classifier = Classifier(read_run(run), "cpu")
    facts, images = describe(classifier), real_images(classifier, data)
    content = None if folder else WRITERS[format](trace(classifier), facts)
    with atomic_write(target, "then repeat the command, or choose another -o") as partial:
        if content is None:
            partial.mkdir()
            write_folder(partial, classifier, facts)
        else:
            partial.write_bytes(content)
        agreement = compare(classifier, load(partial, device="cpu"), images)
        if not agreement.good:
            raise InputError(_refusal(agreement))
    card = None if out is not None else _write_card(classifier, facts)
    return Exported(target, summary(facts), agreement, card, classifier.note)


def _refusal(agreement: Agreement) -> str:
    return (
        f"the exported model does not say what the run says: of {counted(agreement.images, 'image')} "
        f"{agreement.changed} got another label, and probabilities differ by up to {agreement.difference:.1e} "
        f"(allowed: {TOLERANCE:.0e}); "
        "it was removed; try another --format"
    )


def _write_card(classifier: Classifier, facts: Mapping[str, Any]) -> Path | None:
    """Write the run's model card, unless there is one, which its owner may have filled in."""
    folder = classifier.folder
    if (folder.path / layout.CARD).exists():
        return None
    loading = [
        "From the run folder, `run`:",
        '```python\nimport longtail\n\nprint(longtail.load("run").predict("photos"))\n```',
        "From an exported file:",
        "```console\n$ longtail predict model.onnx photos -o predictions.csv\n```",
    ]
    return folder.write_text(layout.CARD, model_card(folder.path, facts, loading))
