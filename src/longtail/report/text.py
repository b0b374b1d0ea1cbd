"""A run's scores as lines of text for a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from longtail.data.left_out import FileCounts, LeftOut, left_out_items, left_out_lines, left_out_of
from longtail.data.repairing import REPAIRED
from longtail.plurals import counted
from longtail.printable import printable
from longtail.report.chance import chance_lines
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.groups import ENOUGH, GROUPS
from longtail.runs.run import SCORES, Run
from longtail.text_table import table_lines

SHOWN = 10  # rows of a table


def epoch_range(first: int, last: int) -> str:
    """Epochs in words.

    >>> epoch_range(1, 1), epoch_range(1, 8)
    ('epoch 1', 'epochs 1 to 8')
    """
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def percent(value: float | None) -> str:
    """A fraction in per cent with one decimal; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f}"


def score_lines(metrics: Mapping[str, Any], class_groups: Sequence[str] = ()) -> list[str]:
    """Table of overall, macro, many, medium and few: all experts together, then each.

    Args:
        metrics: as in metrics.json.
        class_groups: group of each class that was tested, for a last row that counts them.
    """
    experts = metrics.get("experts", [])
    rows = [
        [("all experts" if len(experts) > 1 else "accuracy %"), *(percent(metrics[key]) for key in SCORES)]
    ]
    if len(experts) > 1:
        rows += [
            [f"expert {number}", *(percent(scores[key]) for key in SCORES)]
            for number, scores in enumerate(experts, 1)
        ]
    if class_groups:
        sizes = Counter(class_groups)
        rows.append(
            ["classes", str(len(class_groups)), str(len(class_groups)), *(str(sizes[g]) for g in GROUPS)]
        )
    return table_lines(("accuracy, %" if len(experts) > 1 else "", *SCORES), rows)


def result_lines(run: Run) -> list[str]:
    """What was run, how far it came, and its table of scores."""
    epoch, epochs = run.status["epoch"], run.status["epochs"]
    lines = [f"{run.path}: {run}"]
    if not run.finished:
        lines.append(f"not finished ({run.status['status']}): {epoch} of {counted(epochs, 'epoch')}")
    metrics = run.metrics
    if metrics is None:
        return [
            *lines,
            "not evaluated yet" if not run.finished else "not evaluated: the data has no test split",
        ]
    facts = [basis(run), f"after epoch {metrics['epoch']}"]
    untested = set(metrics.get("not_tested", ()))
    groups = [c["group"] for c in run.classes if c["name"] not in untested]
    return [*lines, ", ".join(facts), "", *score_lines(metrics, groups)]


def basis(run: Run) -> str:
    """How many images the scores rest on, and of the class with the fewest where these are few."""
    images = (run.metrics or {}).get("num_images", 0)
    said, table = counted(images, f"{run.part} image"), run.table("per_class")
    tested = None if table is None else table[table["test_images"] > 0]
    if tested is None or tested.empty or tested["test_images"].min() >= ENOUGH:
        return said
    fewest = tested.loc[tested["test_images"].idxmin()]
    few = int((tested["test_images"] < ENOUGH).sum())
    return (
        f"{said} ({counted(few, 'class')} with fewer than {ENOUGH}, the fewest {fewest['test_images']} of "
        f"{printable(str(fewest['class']))})"
    )


def block_lines(blocks: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines under their titles, each block after an empty line; a title without lines is left out."""
    return [
        line
        for title, lines in blocks.items()
        if lines
        for line in ("", title, *(f"  {printable(one)}" for one in lines))
    ]


def evaluation_lines(metrics: Mapping[str, Any], place: Path) -> list[str]:
    """What `evaluate` found: the scores, what was left out, and where the files are.

    Args:
        metrics: as in metrics.json.
        place: the run folder.
    """
    images = metrics["num_images"]
    head = (
        f"{images:,} image{'s' * (images != 1)} of {metrics['split']}, weights after epoch {metrics['epoch']}"
    )
    where = place / layout.evaluation(metrics["split"])
    return [
        head,
        "",
        *score_lines(metrics),
        *chance_lines(_per_class(place, metrics["split"])),
        *trained_on_lines(metrics),
        *block_lines(left_out(metrics)),
        *block_lines(not_used(left_out_of(metrics.get("left_out", ())))),
        "",
        f"{where / layout.METRICS}",
        f"{where / layout.PER_CLASS}",
    ]


def _per_class(place: Path, split: str) -> pd.DataFrame | None:
    if not (place / layout.evaluation(split, layout.PER_CLASS)).is_file():
        return None
    return RunFolder(place).table(split, layout.PER_CLASS, "write it again with longtail evaluate")


def trained_on_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A line where a run was evaluated on images that it was trained on, or where that is not known."""
    count, images = metrics.get("trained_on", 0), metrics["num_images"]
    if count is None:
        return [
            "The run does not list what its training images hold: whether it was trained on these is not known."
        ]
    verb = "was" if count == 1 else "were"
    return [f"{count:,} of {images:,} images {verb} trained on: the scores are too good."] if count else []


def left_out(metrics: Mapping[str, Any]) -> dict[str, list[str]]:
    """What an evaluation left out, under a title each: classes, and images that could not be read."""
    bad, unknown = metrics.get("unreadable", ()), metrics.get("unknown_classes", {})
    more = [f"and {len(bad) - 2 * SHOWN} more"] if len(bad) > 2 * SHOWN else []
    shown = [f"{entry['path']} ({entry['reason']})" for entry in bad[: 2 * SHOWN]]
    damaged = [f"{entry['path']} ({entry['ignored']})" for entry in metrics.get("repaired", ())]
    return {
        "Not tested: classes without images": name_list(metrics.get("not_tested", ())),
        "Unknown to the model, left out": name_list([f"{name} ({n})" for name, n in unknown.items()]),
        f"Unreadable and skipped: {len(bad)}": [*shown, *more],
        f"{REPAIRED[0].upper()}{REPAIRED[1:]}": name_list(damaged),
    }


def not_used(found: Sequence[LeftOut], files: FileCounts | None = None) -> dict[str, list[str]]:
    """What lay among the images and is no image, under its title."""
    lines = left_out_lines(found) if files is None else [f"{files.line()}:", *left_out_items(found)]
    return {"Not used of the data": list(lines) if found else []}


def name_list(names: Sequence[str]) -> list[str]:
    """Names of classes in a line, the first of them where there are many; no line without names."""
    if not names:
        return []
    more = f" and {len(names) - 2 * SHOWN} more" if len(names) > 2 * SHOWN else ""
    return [f"{counted(len(names), 'class')}: {', '.join(names[: 2 * SHOWN])}{more}"]
