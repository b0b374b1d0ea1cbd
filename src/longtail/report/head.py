"""What was run, and what a reader has to know before believing any number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longtail.data.no_validation import no_validation
from longtail.report.facts.audit import Audit, straddling
from longtail.report.facts.words import classes, count, listed
from longtail.report.places import from_here
from longtail.report.text import basis, trained_on_lines
from longtail.runs import layout
from longtail.runs.run import SPLITS, Run
from longtail.source_names import data_name, own_sources


@dataclass(frozen=True, slots=True)
class Head:
    """What was run, and what a reader has to know before believing any number.

    Attributes:
        title: method, model, experts and data in a line.
        data, method, model: their names.
        experts, num_classes: how many.
        training_images: images trained on; None if unknown.
        split: what the scores are about: "test", "val", or None where nothing was evaluated.
        part: the split in words: "test", "validation" or "".
        num_images: images evaluated.
        epoch, epochs: epochs behind the evaluated weights, and of the whole run.
        epoch_rule: how the epoch was chosen, in a sentence.
        status: "done", "running", "failed" or "interrupted".
        notices: sentences that qualify everything below them.
    """

    title: str
    data: str
    method: str
    model: str
    experts: int
    num_classes: int
    training_images: int | None
    split: str | None
    part: str
    num_images: int
    epoch: int
    epochs: int
    epoch_rule: str
    status: str
    notices: tuple[str, ...]


def head(run: Run, found: Audit) -> Head:
    """The section, from the recipe, the status and the audit."""
    recipe, metrics, status = run.recipe, run.metrics, run.status
    data = recipe["data"]
    counted = [entry.train_images for entry in found.counts]
    epoch = int(metrics["epoch"] if metrics else status["epoch"])
    return Head(
        title=str(run),
        data=data_name(data["name"], data.get("path")),
        method=recipe["method"]["name"],
        model=recipe["model"]["name"],
        experts=int(recipe["model"]["num_experts"]),
        num_classes=len(counted),
        training_images=sum(counted) or None,
        split=run.split if metrics else None,
        part=run.part if metrics else "",
        num_images=int(metrics["num_images"]) if metrics else 0,
        epoch=epoch,
        epochs=int(status["epochs"]),
        epoch_rule=_epoch_rule(run, epoch),
        status=str(status["status"]),
        notices=tuple(_notices(run, found)),
    )


def _epoch_rule(run: Run, epoch: int) -> str:
    epochs = int(run.status["epochs"])
    if run.metrics is None:
        return "No epoch is evaluated yet."
    if run.finished and epoch == epochs:
        return f"Scores are those of the last epoch, {epochs}; no epoch was chosen by its score."
    return f"Scores are those after epoch {epoch} of {epochs}; no epoch was chosen by its score."


def _notices(run: Run, found: Audit) -> Iterator[str]:
    metrics = run.metrics or {}
    if not run.finished:
        done = f"{run.status['epoch']} of {run.status['epochs']} epochs"
        yield f"Not finished ({run.status['status']}): {done}. Scores may still change."
    if metrics and run.split == "val":
        yield f"Scores are on {basis(run)}: whatever was chosen by them, they flatter."
    data = run.recipe["data"]
    if metrics and run.split == "test" and data["name"] in own_sources() and not _has_validation(run):
        yield f"The set {no_validation(None)}."
    if metrics and run.split not in SPLITS:
        yield f"Scores are on images that were given with --data ({layout.evaluation(str(run.split))})."
    if metrics:
        yield from trained_on_lines(metrics)
    if "prior" in metrics:
        yield "The class prior was exchanged for these predictions (--prior): they are not the model's own."
    if metrics.get("temperature") is not None and run.split == metrics.get("temperature_from", "val"):
        yield "The temperature was fitted on these very images, so its calibration looks better than it is."
    if run.new_temperature is not None:
        yield (
            f"The temperature was fitted again since this evaluation: {run.new_temperature:.3g} in the weights, "
            f"{metrics.get('temperature') or 1.0:.3g} here. Confidences are those of before; `longtail evaluate "
            f"{from_here(run.path)}` brings them up to date."
        )
    if found.unknown_classes:
        images = sum(number for _, number in found.unknown_classes)
        names = listed([name for name, _ in found.unknown_classes])
        unknown = f"{count(images, 'image')} of {classes(len(found.unknown_classes))}"
        yield f"The class lists differ: {unknown} that the model does not know are left out ({names})."
    if metrics and found.not_tested:
        yield f"{classes(len(found.not_tested))} without {run.part} images are in no score: {listed(found.not_tested)}."
    yield from straddling(found)


def _has_validation(run: Run) -> bool:
    return run.splits is None or bool((run.splits["split"] == "val").any())


def page_head(found: Head) -> Mapping[str, Any]:
    """What the page says above its sections."""
    facts = [
        ("Data", f"{found.data}, {found.num_classes:,} classes"),
        ("Method", f"{found.method}, {found.experts} expert" + "s" * (found.experts != 1)),
        ("Model", found.model),
    ]
    if found.training_images is not None:
        facts.append(("Training images", f"{found.training_images:,}"))
    if found.split is not None:
        facts.append((f"{found.part.capitalize()} images", f"{found.num_images:,}"))
    facts.append(("Epoch", f"{found.epoch} of {found.epochs}"))
    lead = "The run is finished." if found.status == "done" else f"The run is not finished ({found.status})."
    return {
        "title": found.title,
        "lead": f"{lead} {found.epoch_rule}",
        "notices": found.notices,
        "facts": facts,
    }
