"""Results at the end of a stage: evaluations, the temperature, and the saved weights."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from longtail.data import Split
from longtail.data.dataset import counted
from longtail.engine.decision import Decision
from longtail.engine.evaluate import Evaluation, evaluate, evaluation_batch
from longtail.engine.job import Job
from longtail.engine.scores import write_evaluation
from longtail.engine.temperature import temperature_entry, temperature_of
from longtail.engine.weights_file import pack_weights
from longtail.method import Stage
from longtail.runs import layout


def evaluate_split(
    job: Job, split: Split, stage: Stage, temperature: float = 1.0, *, probed: bool = False
) -> Evaluation:
    """Evaluate a split with the current network and a stage's head bank."""
    total = len(job.processes.part(split.targets))
    return evaluate(
        job.model, job.method, split, job.augment, **_evaluated_on(job, stage), processes=job.processes,
        decision=Decision(temperature), probed=probed,
        seen=lambda done: job.display.work("evaluating", done, total),
    )  # fmt: skip


def write_evaluations(
    job: Job, stage: Stage, temperature: float | None, known: Mapping[str, Evaluation]
) -> None:
    """Evaluate the validation and test split, as far as there are any and not `known`, into eval/<split>/."""
    for name, split in (("val", job.data.val), ("test", job.data.test)):
        if split is not None:
            evaluation = known.get(name) or evaluate_split(job, split, stage, temperature or 1.0)
            more = {
                "split": name,
                "epoch": len(job.records),
                "reuse_features": job.recipe.run.reuse_features,
                "left_out": [one.contents() for one in job.data.notes.left_out],
            } | ({"temperature_from": "val"} if temperature else {})
            write = partial(write_evaluation, job.folder, name, split, job.classes, evaluation, more)
            job.processes.run_on_main(write)


def find_temperature(job: Job, stage: Stage) -> float | None:
    """Fit the temperature on the validation part, where there is one; warnings say where it is doubtful."""
    if job.data.val is None:
        return None
    prior = job.method.assumed_log_prior(stage)
    fit = temperature_of(job.model, job.method, job.data.val, job.augment, prior, **_evaluated_on(job, stage))
    if fit.temperature is None:
        job.display.say(f"no temperature was fitted on {counted(fit.images, 'validation image')}: {fit.why}")
    elif fit.caveats:
        said = f"the temperature {fit.temperature:.3g} is fitted on {fit.basis}"
        job.display.say(f"{said}; {'; '.join(fit.caveats)}")
    return fit.temperature


def write_weights(job: Job, stage: Stage, temperature: float | None = None) -> None:
    """The network with only this stage's head bank, and the method's state where it predicts with it.

    What rebuilds the network lies in the same file, so that a kill between two files tears nothing apart;
    model.json repeats it for people.
    """
    prefix = f"heads.{stage.bank}."
    state = job.whole.state_dict().items()
    kept = {name: value for name, value in state if name.startswith(prefix) or not name.startswith("heads.")}
    if job.method.predicts_with_state:
        kept |= {f"method.{name}": value for name, value in job.method.state_dict().items()}
    tensors = {name: value.contiguous() for name, value in kept.items()}
    description = job.description(stage) | {"epoch": len(job.records)}
    description |= temperature_entry(temperature, "val")
    packed = pack_weights(tensors, description)
    job.folder.write(layout.WEIGHTS, lambda file: file.write(packed))
    job.folder.write_json(layout.DESCRIPTION, description)


def _evaluated_on(job: Job, stage: Stage) -> dict[str, Any]:
    device, options = job.runtime.device, job.recipe
    size = evaluation_batch(options.run.evaluate_batch_size, device, job.data.image_size)
    return {"bank": stage.bank, "device": device, "batch_size": size, "workers": options.data.workers}
