"""A stage's step: from a batch of images to moved weights."""

import fnmatch
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from longtail.data import batches, epoch_order
from longtail.engine.job import Job
from longtail.engine.meter import Meter
from longtail.engine.objective import Objective, distributed, mixes
from longtail.engine.processes import ALONE
from longtail.engine.schedule import learning_rate
from longtail.method import Stage
from longtail.models import ExpertResNet
from longtail.types import Batch, Progress


def freeze(model: ExpertResNet, stage: Stage) -> None:
    """Let only the stage's parameters, and its bank of classifiers, take gradients; put batch norm into its mode."""
    for name, parameter in model.named_parameters():
        spare = name.startswith("heads.") and not name.startswith(f"heads.{stage.bank}.")
        wanted = any(fnmatch.fnmatchcase(name, pattern) for pattern in stage.trainable)
        parameter.requires_grad_(wanted and not spare)
    model.train()
    if stage.batch_norm == "eval":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and not module.weight.requires_grad:
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


class StageTraining:
    """A stage in the making: its frozen and trained parameters, its optimizer, and what happens to each batch.

    Args:
        job: the run; its network is put into the stage's mode.
        position: which of its stages.
    """

    def __init__(self, job: Job, position: int) -> None:
        self.job, self.position, self.stage = job, position, job.stages[position]
        freeze(job.model, self.stage)
        self.optimizer = build_optimizer(job, self.stage)
        self.objective = distributed(Objective(job.model, job.method, job.runtime.autocast, job.processes))
        self.sharing = ALONE if mixes(job.method) else job.processes  # who loads and augments a batch
        self.meter = Meter(job.runtime.device)

    def epoch(self, start: Progress) -> Generator[None, None, dict[str, Any]]:
        """Every image of the sampler's order once; pauses after each step.

        Returns:
            For the log: last learning rate, mean of each term over the epoch's steps, training accuracy.
        """
        job, o, rate_at = self.job, self.job.recipe.optim, self._rate()
        job.method.start_epoch(start)
        self.meter.start(start.step)
        for done, batch in enumerate(self._batches(start)):
            rate = rate_at(start.epoch * job.steps_per_epoch + done)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            progress = replace(start, step=start.step + done)
            self.step(batch, progress)
            self.meter.count(len(batch.target))
            job.display.step(
                self.stage.name, start.total_epoch + 1, progress.step + 1, o.epochs * job.steps_per_epoch
            )
            yield
        return {"lr": rate} | self.meter.read()

    def step(self, batch: Batch, progress: Progress) -> None:
        """One update from one batch of uint8 images; waits for nothing."""
        job, clip_norm = self.job, self.job.recipe.optim.clip_norm
        index = self.sharing.part(batch.index)
        views = [
            job.augment(batch.image, index, seed=progress.seed, epoch=progress.total_epoch, view=view)
            for view in range(job.method.views)
        ]
        augmented = replace(batch, image=views[0] if len(views) == 1 else torch.cat(views))
        outcome = self.objective(augmented, self.stage.bank, progress)
        job.runtime.backward(outcome.total)
        if clip_norm:
            job.runtime.clip_grad_norm_([*job.model.parameters(), *job.method.parameters()], clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            job.method.after_step(job.model, progress)
            self.meter.add(outcome.terms, job.method.logits(outcome.output), batch.target)

    def _batches(self, start: Progress) -> Generator[Batch, None, None]:
        split, stage = self.job.data.train, self.stage
        order = epoch_order(
            stage.sampler, split.targets, len(self.job.data.class_names),
            seed=start.seed * 64 + self.position, epoch=start.epoch, epochs=stage.epochs,
        )  # fmt: skip
        options = self.job.recipe
        yield from batches(
            split, order, options.optim.batch_size, self.job.runtime.device, workers=options.data.workers,
            part=self.sharing.part,
        )  # fmt: skip

    def _rate(self) -> "partial[float]":
        stage, o, steps = self.stage, self.job.recipe.optim, self.job.steps_per_epoch
        return partial(
            learning_rate,
            total_steps=stage.epochs * steps,
            peak_lr=stage.peak_lr or o.peak_lr,
            warmup_steps=o.warmup_epochs * steps if stage.warmup else 0,
            warmup_start_lr=o.warmup_start_lr,
            milestones=[epoch * steps for epoch in stage.milestones],
            decay_factor=stage.decay_factor,
        )
