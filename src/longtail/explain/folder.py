"""RUN/explain/: the images that a rule chooses among those evaluated, for the report."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from longtail.data import Split
from longtail.data.files import ImageFiles
from longtail.explain.examples import rule, select_examples
from longtail.explain.explanation import Explanation, explain_images
from longtail.explain.picture import fit, overlay
from longtail.explain.sheet import write_sheet
from longtail.predict import Classifier
from longtail.predict.evaluated import Evaluated
from longtail.runs import layout
from longtail.runs.atomic_write import atomic_write
from longtail.runs.folder import AGAIN, RunFolder
from longtail.types import InputError

SIDE = 160


def explain_chosen(classifier: Classifier, class_name: str | None = None) -> list[Explanation]:
    """Explain the evaluated images that `rule` chooses.

    Args:
        classifier: a run that has been evaluated.
        class_name: see `explain_images`.

    Raises:
        InputError: it has not been evaluated, or the images have changed since.
    """
    c = classifier
    evaluated = Evaluated(c.folder, c.recipe, c.classes, c.description, c.words)
    name, split, _ = evaluated.own(strict=False)
    table = _predictions(classifier, name, split)
    counts = dict(zip(classifier.classes, classifier.class_counts.tolist(), strict=True))
    chosen = select_examples(table, counts)
    rows = torch.tensor([row for row, _ in chosen])
    paths = [split.ids[row] for row, _ in chosen]
    found = explain_images(classifier, paths, _pixels(split, rows), class_name=class_name)
    actual = [classifier.classes[index] for index in split.targets[rows].tolist()]
    return [
        replace(explanation, actual=own, chosen=why)
        for explanation, own, (_, why) in zip(found, actual, chosen, strict=True)
    ]


def write_explanations(folder: RunFolder, explanations: Sequence[Explanation], title: str) -> Path:
    """Write explain/ into a run folder, whole or not at all: explain.json, small pictures and sheet.png.

    Returns:
        The folder, which replaces an older one.

    Raises:
        InputError: the file system refuses.
    """
    target = folder.path / layout.EXPLAIN
    with atomic_write(target, AGAIN) as partial:
        made = RunFolder(partial)
        entries = [_entry(made, number, explanation) for number, explanation in enumerate(explanations)]
        made.write(layout.SHEET, lambda file: write_sheet(explanations, title, file))
        first = explanations[0]
        chosen = {"rule": rule(len(first.votes)), "layer": first.layer, "images": entries}
        made.write_json(layout.EXPLAINED, chosen)
    return target


def _entry(folder: RunFolder, number: int, e: Explanation) -> dict[str, object]:
    picture = fit(e.picture, SIDE)
    image, maps = f"{number:02}.webp", [f"{number:02}-{m + 1}.webp" for m in range(len(e.maps))]
    _write_webp(folder, image, picture)
    for name, heat in zip(maps, e.maps, strict=True):
        _write_webp(folder, name, overlay(picture, heat))
    return {
        "path": e.path.encode("utf-8", "backslashreplace").decode(),
        "class": e.actual,
        "label": e.label,
        "confidence": e.confidence,
        "experts": list(e.votes),
        "shown": e.shown,
        "chosen": e.chosen,
        "image": image,
        "maps": maps,
    }


def _write_webp(folder: RunFolder, name: str, pixels: Tensor) -> None:
    from PIL import Image

    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    folder.write(name, lambda file: image.save(file, format="WEBP", quality=80))


def _predictions(classifier: Classifier, name: str, split: Split) -> pd.DataFrame:
    file = classifier.folder.path / layout.evaluation(name, layout.PREDICTIONS)
    again = f"write it with: longtail evaluate {shlex.quote(str(classifier.folder.path))}"
    if not file.is_file():
        raise InputError(f"{file} does not exist; {again}")
    table = classifier.folder.table(name, layout.PREDICTIONS, again)
    if table["path"].tolist() != [name.encode("utf-8", "backslashreplace").decode() for name in split.ids]:
        raise InputError(f"{file} is of other images than the run has now; {again}")
    return table


def _pixels(split: Split, rows: Tensor) -> Tensor:
    images = split.images
    if isinstance(images, ImageFiles):
        return torch.stack([images.read(row) for row in rows.tolist()])
    return images[rows].cpu()
