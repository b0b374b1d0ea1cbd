"""The model card: what a stranger should know of a model, in the form of the Hugging Face hub, with nothing made up."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longtail.csv_text import read_csv
from longtail.data.dataset import counted
from longtail.printable import printable
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.runs.groups import ENOUGH, GROUPS

SHAPES = {
    "crop": ", of the largest centred square of an image",
    "pad": ", of whole images between borders of the mean colour",
    "squash": ", of whole images squashed to a square",
}
SHOWN = 30  # classes in a table or list
TO_FILL = "_Not stated: to be filled in by the owner of the model_"


class Evaluation(NamedTuple):
    """The scores of a run's own split.

    Attributes:
        part: test or val.
        metrics: metrics.json.
        rows: of per_class.csv.
    """

    part: str
    metrics: Mapping[str, Any]
    rows: Sequence[Mapping[str, str]]


def model_card(run: Path, facts: Mapping[str, Any], loading: Sequence[str]) -> str:
    """The card as Markdown behind YAML front matter.

    Args:
        run: the run folder.
        facts: what `describe` gave.
        loading: lines of Markdown that say how to load the model.

    Raises:
        InputError: a file of the run is damaged.
    """
    classes = RunFolder(run).classes()
    found = _evaluation(run)
    parts = (
        _front_matter(facts, found),
        _introduction(facts),
        ["## Intended use", f"{TO_FILL}: who may use it, on which images, for which decisions, and for what not."],
        ["## Training images", *_training(classes)],
        ["## Scores", *(["Not evaluated."] if found is None else _scores(found))],
        ["## Limits", *_limits(facts, found)],
        ["## How to load it", *loading],
        ["## Licence", f"{TO_FILL}, who also has to mind the rights in the training images."],
    )  # fmt: skip
    return "\n\n".join("\n\n".join(part) for part in parts) + "\n"


def plain(name: str) -> str:
    """A name as text of one line that Markdown and HTML leave alone.

    >>> plain("a|b <i>*x*</i>")
    'a&#124;b &lt;i&gt;&#42;x&#42;&lt;/i&gt;'
    """
    words = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(words.get(c, f"&#{ord(c)};" if c in "|*_`[]\\#~!$:" else c) for c in printable(name))


def _evaluation(run: Path) -> Evaluation | None:
    """Of the test split where there is one, else of the validation split."""
    for part in ("test", "val"):
        where = run / layout.evaluation(part)
        if (where / layout.METRICS).is_file() and (where / layout.PER_CLASS).is_file():
            folder = RunFolder(run)
            metrics = folder.metrics(part)
            folder.table(part, layout.PER_CLASS)  # sound, and of these classes
            columns = read_csv(where / layout.PER_CLASS).columns
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            return Evaluation(part, metrics, rows)
    return None


def _front_matter(facts: Mapping[str, Any], found: Evaluation | None) -> list[str]:
    """YAML; its values are JSON, which YAML contains."""
    entries: dict[str, Any] = {
        "library_name": "longtail",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "long-tailed-recognition", "class-imbalance"],
    }
    if found is not None:
        names = {"overall": "accuracy", "macro": "balanced accuracy"}
        scores = [
            {"type": "accuracy", "name": name, "value": found.metrics[key]}
            for key, name in names.items()
            if found.metrics.get(key) is not None
        ]
        data = facts["recipe"].removesuffix(f"-{facts['method']}-{facts['model']}")
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"type": data, "name": data, "split": found.part},
            "metrics": scores,
        }
        entries["metrics"] = ["accuracy"]
        entries["model-index"] = [{"name": facts["recipe"], "results": [result]}]
    return ["\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in entries.items()), "---"])]


def _introduction(facts: Mapping[str, Any]) -> list[str]:
    experts = f"{facts['num_experts']} expert" + "s" * (facts["num_experts"] > 1)
    size, epoch = facts["image_size"], facts["epoch"]
    shown = SHAPES[facts.get("fit", "crop")]  # descriptions that do not say it are of crops
    return [
        f"# {plain(facts['recipe'])}",
        f"Tells {len(facts['classes'])} classes of images of {size} x {size} pixels apart{shown}. "
        f"A {facts['model']} with {experts}, trained for {counted(epoch, 'epoch')} by the method {facts['method']} of "
        f"longtail {facts['longtail_version']}.",
    ]


def _training(classes: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = [row["count"] for row in classes]
    groups = [
        (group, len(inside), sum(inside))
        for group in GROUPS
        if (inside := [row["count"] for row in classes if row["group"] == group])
    ]
    return [
        f"{sum(counts):,} images of {len(counts)} classes; the largest class has {max(counts):,}, the smallest "
        f"{min(counts):,} (imbalance factor {max(counts) / max(min(counts), 1):.4g}).",
        _table(("group by training images", "classes", "images"), groups),
    ]


def _scores(found: Evaluation) -> list[str]:
    metrics, rows = found.metrics, [row for row in found.rows if row["test_images"] != "0"]
    tested = [
        (key, _percent(metrics[key]), len(inside), sum(int(row["test_images"]) for row in inside))
        for key in ("overall", "macro", *GROUPS)
        if metrics.get(key) is not None
        and (inside := [row for row in rows if key not in GROUPS or row["group"] == key])
    ]
    part = (
        "test split"
        if found.part == "test"
        else "validation split, which was held out of the training images"
    )
    shown = sorted(rows, key=lambda row: float(row["recall"]))[:SHOWN]
    title = "Each class, the weakest first" if len(shown) == len(rows) else f"The {SHOWN} weakest classes"
    calibrated = metrics.get("ece_calibrated", metrics.get("ece"))
    return [
        f"On the {part}, {counted(metrics['num_images'], 'image')}, after epoch {metrics['epoch']}. "
        "`macro` is the mean recall of the classes; the groups' scores are such means.",
        _table(("score", "%", "classes", f"{found.part} images"), tested),
        f"Expected calibration error: {_percent(calibrated)} % (temperature {metrics.get('temperature', 1.0):.4g}).",
        f"{title}:",
        _table(
            ("class", "training images", f"{found.part} images", "found", "recall, %"),
            [
                (plain(row["class"]), row["train_images"], row["test_images"], row["correct"], _recall(row))
                for row in shown
            ],
        ),
    ]  # fmt: skip


def _limits(facts: Mapping[str, Any], found: Evaluation | None) -> list[str]:
    lines = [
        "It names one of its classes for every image, also for one that shows none of them.",
        "Its scores hold for images like those that it was evaluated on.",
    ]
    if found is None:
        return [_bullets([*lines, "It was not evaluated: nothing is known of how often it is right."])]
    few = [row["class"] for row in found.rows if 0 < int(row["test_images"]) < ENOUGH]
    absent = [row["class"] for row in found.rows if row["test_images"] == "0"]
    never = [row["class"] for row in found.rows if row["precision"] == ""]
    lists = {
        f"Never predicted on the {found.part} images": never,
        f"Fewer than {ENOUGH} {found.part} images, too few to say how well they are found": few,
        f"Not tested, no {found.part} images": absent,
    }
    return [_bullets([*lines, *(f"{what}: {_named(names)}." for what, names in lists.items() if names)])]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(plain, names[:SHOWN])) + more


def _recall(row: Mapping[str, str]) -> str:
    return _percent(float(row["recall"])) if int(row["test_images"]) >= ENOUGH else "too few to say"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (header, rule, *rows))
