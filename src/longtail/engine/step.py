"""Epochs and steps: forward, observe, loss, backward, update."""

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from longtail.data import batches, epoch_order
from longtail.engine.job import Job
from longtail.engine.schedule import learning_rate
from longtail.method import Method, Stage
from longtail.models import ExpertResNet
from longtail.types import Batch, InputError, ModelOutput, Progress


def freeze(model: ExpertResNet, stage: Stage) -> None:
    """Let only the stage's parameters, and its bank of classifiers, take gradients; put batch norm into its mode."""
    for name, parameter in model.named_parameters():
        spare = name.startswith("heads.") and not name.startswith(f"heads.{stage.bank}.")
        wanted = any(fnmatch.fnmatchcase(name, pattern) for pattern in stage.trainable)
        parameter.requires_grad_(wanted and not spare)
    model.train()
    if stage.batch_norm == "eval":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()


def build_optimizer(job: Job, stage: Stage) -> AcceleratedOptimizer:
    """SGD over the parameters that the stage trains, with fresh momentum."""
    o = job.recipe.optim
    parameters = [p for p in (*job.model.parameters(), *job.method.parameters()) if p.requires_grad]
    optimizer = torch.optim.SGD(
        parameters,
        lr=stage.peak_lr or o.peak_lr,
        momentum=o.momentum,
        nesterov=o.nesterov,
        weight_decay=o.weight_decay if stage.weight_decay is None else stage.weight_decay,
        fused=job.runtime.device.type in ("cpu", "cuda"),
    )
    return job.runtime.prepare_optimizer(optimizer)


def train_step(
    model: ExpertResNet,
    method: Method,
    runtime: Accelerator,
    optimizer: AcceleratedOptimizer,
    batch: Batch,
    bank: str,
    progress: Progress,
    clip_norm: float = 0.0,
) -> tuple[ModelOutput, Mapping[str, Tensor]]:
    """One update from one augmented batch.

    Returns:
        The model's output and the named terms of the loss, without gradients.
    """
    batch = method.prepare(batch, progress)
    with runtime.autocast():
        output = model(batch.image, bank=bank)
    with torch.no_grad():
        method.observe(output, batch, progress)
    terms = method.loss(output, batch, progress)
    runtime.backward(torch.stack(list(terms.values())).sum())
    if clip_norm:
        runtime.clip_grad_norm_([*model.parameters(), *method.parameters()], clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        method.after_step(model, progress)
    aux = {name: value.detach() for name, value in output.aux.items()}
    detached = ModelOutput(output.features.detach(), output.logits.detach(), aux)
    return detached, {name: term.detach() for name, term in terms.items()}


def train_epoch(job: Job, position: int, optimizer: AcceleratedOptimizer, start: Progress) -> dict[str, Any]:
    """Every image of the sampler's order once.

    Returns:
        For the log: mean of each term over the epoch's steps, training accuracy, last learning rate.
    """
    stage, o, device = job.stages[position], job.recipe.optim, job.runtime.device
    split, steps = job.data.train, job.steps_per_epoch
    meter = Meter(device)
    job.method.start_epoch(start)
    order = epoch_order(
        stage.sampler, split.targets, len(job.data.class_names),
        seed=start.seed * 64 + position, epoch=start.epoch, epochs=stage.epochs,
    )  # fmt: skip
    boxes = _boxes(job, start)
    stream = batches(split, order, o.batch_size, device, workers=job.recipe.data.workers, views=boxes)
    rate_at = partial(
        learning_rate,
        total_steps=stage.epochs * steps,
        peak_lr=stage.peak_lr or o.peak_lr,
        warmup_steps=o.warmup_epochs * steps if stage.warmup else 0,
        warmup_start_lr=o.warmup_start_lr,
        milestones=[epoch * steps for epoch in stage.milestones],
        decay_factor=stage.decay_factor,
    )
    for done, batch in enumerate(stream):
        progress = replace(start, step=start.step + done)
        rate = rate_at(start.epoch * steps + done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        augmented = replace(batch, image=_augment(job, batch, start, cropped=bool(boxes)))
        output, terms = train_step(
            job.model, job.method, job.runtime, optimizer, augmented, stage.bank, progress, o.clip_norm
        )
        meter.add(progress.step, terms, job.method.logits(output), batch.target)
        job.display.step(stage.name, start.total_epoch + 1, progress.step + 1, o.epochs * steps)
    return {"lr": rate} | meter.read()


def _boxes(job: Job, progress: Progress) -> list[partial[Tensor]]:
    """What each view shows of images that are cropped as they are read; empty where `Augment` does all itself."""
    if "resized_crop" not in job.augment.operations or isinstance(job.data.train.images, Tensor):
        return []
    draw = partial(job.augment.boxes, seed=progress.seed, epoch=progress.total_epoch)
    return [partial(draw, view=view) for view in range(job.method.views)]


def _augment(job: Job, batch: Batch, progress: Progress, *, cropped: bool) -> Tensor:
    images = batch.image.chunk(job.method.views) if cropped else [batch.image] * job.method.views
    augment = partial(job.augment, seed=progress.seed, epoch=progress.total_epoch, cropped=cropped)
    views = [augment(image, batch.index, view=view) for view, image in enumerate(images)]
    return views[0] if len(views) == 1 else torch.cat(views)


class Meter:
    """Sums of an epoch, kept on the device; reads them seldom, so that steps do not wait for the processor.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self.check_every = 1 if device.type == "cpu" else 50
        self.sums: dict[str, Tensor] = {}
        self.first_bad: dict[str, Tensor] = {}
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.images = self.steps = 0

    def add(self, step: int, terms: Mapping[str, Tensor], logits: Tensor, target: Tensor) -> None:
        """Count a step.

        Raises:
            InputError: a term is not finite, in this step or one not looked at yet.
        """
        for name, term in terms.items():
            here = torch.where(term.isfinite(), math.inf, float(step))
            self.first_bad[name] = (
                torch.minimum(self.first_bad[name], here) if name in self.first_bad else here
            )
            self.sums[name] = self.sums[name] + term if name in self.sums else term
        self.correct += (logits[: len(target)].argmax(dim=-1) == target).sum()
        self.images, self.steps = self.images + len(target), self.steps + 1
        if self.steps % self.check_every == 0:
            self.check()

    def check(self) -> None:
        """Refuse to go on once a term has not been finite."""
        for name, first in self.first_bad.items():
            if first.item() < math.inf:
                raise InputError(
                    f"loss term {name!r} is not finite at step {int(first.item())}; lower optim.peak_lr or the "
                    "term's weight (what finished epochs made is kept)"
                )

    def read(self) -> dict[str, Any]:
        """Means of the epoch."""
        self.check()
        loss = {name: total.item() / self.steps for name, total in self.sums.items()}
        return {"loss": loss, "train_accuracy": self.correct.item() / self.images}
