"""A stage's step: from a batch of images to moved weights."""

import fnmatch
from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from jaxtyping import Int64
from torch import Tensor, nn

from longtail.data import batches, epoch_order
from longtail.engine.graph import CudaRecorder, RecordedStep
from longtail.engine.job import Job
from longtail.engine.meter import Meter
from longtail.engine.objective import Objective, distributed
from longtail.engine.processes import ALONE
from longtail.engine.reuse import stored_features
from longtail.engine.schedule import learning_rate
from longtail.engine.sgd import PlainSGD
from longtail.engine.views import crops_on_reading, show, view_boxes, view_keys
from longtail.method import Stage
from longtail.models import ExpertModel
from longtail.types import Batch, Progress, Sampler

SECOND = 32  # which of the 64 order streams of a seed are those of second samplers


def trains(stage: Stage, name: str) -> bool:
    """Whether a stage trains the parameter of this name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in stage.trainable)


def freeze(model: ExpertModel, stage: Stage, frozen_stages: int = 0) -> None:
    """Let only the stage's parameters, and its bank of classifiers, take gradients; put batch norm into its mode.

    Args:
        model: the network.
        stage: the run's stage.
        frozen_stages: so many of the network's first stages, and its stem, are left as they are whatever the stage
            trains, statistics of batch norm included.
    """
    frozen = set()
    for name, parameter in model.named_parameters():
        spare = name.startswith("heads.") and not name.startswith(f"heads.{stage.bank}.")
        wanted = trains(stage, name)
        if frozen_stages and model.depth(name) <= frozen_stages:
            frozen.add(parameter)
        parameter.requires_grad_(wanted and not spare and parameter not in frozen)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and not module.weight.requires_grad:
            module.train(stage.batch_norm == "train" and module.weight not in frozen)


def build_optimizer(job: Job, stage: Stage) -> AcceleratedOptimizer:
    """SGD over the parameters that the stage trains, with fresh momentum."""
    o = job.recipe.optim
    rate = stage.peak_lr or o.peak_lr
    on_cuda = job.runtime.device.type == "cuda"
    groups = list(_groups(job, stage))
    parameters = [parameter for group in groups for parameter in group["params"]]
    for group in groups:  # a recorded step reads it anew, hence a tensor, one for each group
        own = rate * group["share"]
        group["lr"] = torch.tensor(own, device=job.runtime.device) if on_cuda else own
    optimizer = PlainSGD(
        groups,
        momentum=o.momentum,
        nesterov=o.nesterov,
        weight_decay=o.weight_decay if stage.weight_decay is None else stage.weight_decay,
        fused=job.runtime.device.type in ("cpu", "cuda"),
    )
    for parameter in parameters:  # all from the start: one may get its first gradient later than the others
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter) if o.momentum else None
    return job.runtime.prepare_optimizer(optimizer)


def _groups(job: Job, stage: Stage) -> Iterator[dict[str, Any]]:
    """The parameters to be trained, those that learn at an equal share of the rate together."""
    decay, shares = job.recipe.optim.layer_decay, defaultdict(list)
    last = max(job.model.depth(name) for name, _ in job.model.named_parameters())
    for name, parameter in job.model.named_parameters():
        if parameter.requires_grad:
            share = decay ** (last - job.model.depth(name))
            shares[share * _stage_share(stage, name)].append(parameter)
    for name, parameter in job.own_parameters.items():
        if parameter.requires_grad:
            shares[_stage_share(stage, name)].append(parameter)
    for share, parameters in shares.items():
        yield {"params": parameters, "share": share}


def _stage_share(stage: Stage, name: str) -> float:
    return next((share for pattern, share in stage.lr_shares if fnmatch.fnmatchcase(name, pattern)), 1.0)


def set_rate(optimizer: AcceleratedOptimizer, rate: float) -> None:
    """Give every parameter its share of this learning rate; one that lies in a tensor stays in it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group["share"])
        else:
            group["lr"] = rate * group["share"]


def restore(optimizer: AcceleratedOptimizer, state: dict[str, Any]) -> None:
    """Go on with a saved state, whose learning rate is that of a step gone by."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


class StageTraining:
    """A stage in the making: its frozen and trained parameters, its optimizer, and what happens to each batch.

    Args:
        job: the run; its network is put into the stage's mode.
        position: which of its stages.
        state: of the optimizer, for a run that goes on within the stage.
    """

    def __init__(self, job: Job, position: int, state: dict[str, Any] | None = None) -> None:
        self.job, self.position, self.stage = job, position, job.stages[position]
        self._freeze(epoch=None)
        self.optimizer = build_optimizer(job, self.stage)
        if state is not None:
            restore(self.optimizer, state)
        self.stored = stored_features(job, position, again=state is not None)
        self.features = None if self.stored is None else torch.empty_like(self.stored[0])
        self.objective = distributed(Objective(job.model, job.method, job.runtime.autocast, job.processes))
        self.sharing = ALONE if job.method.mixes_images else job.processes  # who loads and augments a batch
        self.meter = Meter(job.runtime.device)
        self._recorded: RecordedStep | None = None
        alone, scaled = job.processes.count == 1, job.runtime.scaler is not None
        if job.runtime.device.type == "cuda" and job.recipe.run.graphs and alone and not scaled:
            self._recorded = RecordedStep(
                self._phase(),
                CudaRecorder(job.runtime.device),
                self.optimizer.zero_grad,
                job.display.say,
            )

    def epoch(self, start: Progress) -> Generator[None, None, dict[str, Any]]:
        """Every image of the sampler's order once; pauses after each step.

        Returns:
            For the log: last learning rate, mean of each term over the epoch's steps, training accuracy; where
            features are reused, of how many views; on CUDA, how many steps were replayed.
        """
        job, o, rate_at = self.job, self.job.recipe.optim, self._rate()
        self._freeze(start.epoch)
        job.method.start_epoch(start)
        self.meter.start(start.step)
        if self.stored is not None and self.features is not None:
            self.features.copy_(self.stored[start.epoch % len(self.stored)])
        words = view_keys(start.seed, start.total_epoch, self._passes * job.method.num_views + 1)
        keys = words.to(job.runtime.device)
        for done, batch in enumerate(self._batches(start, words)):
            rate = rate_at(start.epoch * job.steps_per_epoch + done)
            set_rate(self.optimizer, rate)
            progress = replace(start, step=start.step + done)
            if self._recorded is None:
                self.step(batch, keys, progress)
            else:
                self._recorded(self.step, batch, keys, progress)
            self.meter.count(len(batch.target))
            job.display.step(
                self.stage.name, start.total_epoch + 1, progress.step + 1, o.epochs * job.steps_per_epoch
            )
            yield
        more = {} if self.stored is None else {"stored_views": len(self.stored)}
        if self._recorded is not None:
            more["replayed_steps"] = self._recorded.take_count()
        return {"lr": rate} | more | self.meter.read()

    def step(self, batch: Batch, keys: Int64[Tensor, "k 2"], progress: Progress) -> None:
        """One update from one batch of uint8 images; waits for nothing.

        Args:
            batch: what the data gave.
            keys: those of its views, then of the views of the other batch, where there is one, then the method's own.
            progress: where the run stands.
        """
        job, clip_norm, views = self.job, self.job.recipe.optim.clip_norm, self.job.method.num_views
        batch = replace(batch, keys=keys[-1])
        if self.features is None:
            other = batch.other and replace(self._shown(batch.other, keys[views:-1]), keys=keys[-1])
            shown = replace(self._shown(batch, keys[:views]), other=other)
            outcome = self.objective(shown, self.stage.bank, progress)
        else:
            known = self.features.index_select(0, batch.index).transpose(0, 1)
            outcome = self.objective(batch, self.stage.bank, progress, known)
        job.runtime.backward(outcome.total)
        if clip_norm:
            job.runtime.clip_grad_norm_([*job.model.parameters(), *job.method.parameters()], clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            job.method.after_step(job.model, progress)
            self.meter.add(outcome.terms, job.method.logits(outcome.output), batch.target)

    @property
    def _passes(self) -> int:
        """How many orders of images the stage draws."""
        return 1 if self.stage.second_sampler is None else 2

    def _shown(self, batch: Batch, keys: Int64[Tensor, "v 2"]) -> Batch:
        policies, index = self.job.views, self.sharing.part(batch.index)
        cropped = crops_on_reading(policies, self.job.data.train)
        return replace(batch, image=show(policies, batch.image, index, keys, cropped=cropped))

    def _freeze(self, epoch: int | None) -> None:
        """Freeze what is not trained in an epoch of the stage; None: what is not trained in any."""
        o = self.job.recipe.optim
        thawed = o.frozen_epochs > 0 and (epoch is None or epoch >= o.frozen_epochs)
        freeze(self.job.model, self.stage, 0 if thawed else o.frozen_stages)
        for name, parameter in self.job.own_parameters.items():
            parameter.requires_grad_(trains(self.stage, name))

    def _phase(self) -> Callable[[Progress], Hashable | None]:
        """The method's phases, told apart by whether the first layers are frozen."""
        phase, epochs = self.job.method.phase, self.job.recipe.optim.frozen_epochs

        def told_apart(progress: Progress) -> Hashable | None:
            own = phase(progress)
            return None if own is None else (own, progress.epoch < epochs)

        return told_apart

    def _batches(self, start: Progress, keys: Int64[Tensor, "k 2"]) -> Iterator[Batch]:
        stage, views = self.stage, self.job.method.num_views
        first = self._drawn(stage.sampler, start, keys[:views])
        if stage.second_sampler is None:
            return first
        others = self._drawn(stage.second_sampler, start, keys[views:-1], SECOND)
        return (replace(batch, other=other) for batch, other in zip(first, others, strict=True))

    def _drawn(
        self, sampler: Sampler, start: Progress, keys: Int64[Tensor, "v 2"], stream: int = 0
    ) -> Iterator[Batch]:
        split, stage, options = self.job.data.train, self.stage, self.job.recipe
        if self.stored is not None:  # images without pixels: none is looked at
            split = replace(split, images=split.targets.new_empty(len(split), 3, 0, 0, dtype=torch.uint8))
        order = epoch_order(
            sampler, split.targets, len(self.job.data.class_names), seed=start.seed * 64 + self.position + stream,
            epoch=start.epoch, epochs=stage.epochs, power=stage.sampler_power,
        )  # fmt: skip
        return batches(
            split, order, options.optim.batch_size, self.job.runtime.device, workers=options.data.workers,
            part=self.sharing.part, views=view_boxes(self.job.views, split, keys),
        )  # fmt: skip

    def _rate(self) -> "partial[float]":
        stage, o, steps = self.stage, self.job.recipe.optim, self.job.steps_per_epoch
        milestones = stage.milestones
        if milestones is None:
            milestones = o.milestones if self.position == 0 else ()
        return partial(
            learning_rate,
            total_steps=stage.epochs * steps,
            peak_lr=stage.peak_lr or o.peak_lr,
            warmup_steps=o.warmup_epochs * steps if stage.warmup else 0,
            warmup_start_lr=o.warmup_start_lr,
            milestones=[epoch * steps for epoch in milestones],
            decay_factor=stage.decay_factor or o.decay_factor,
            final_lr=o.final_lr if stage.final_lr is None else stage.final_lr,
        )
