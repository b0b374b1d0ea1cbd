"""Training step of a stage: from a batch of images to updated weights."""

from collections.abc import Callable, Generator, Hashable, Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from longtail.data import batches, epoch_order, showings
from longtail.engine.averaging import statistics_kept, statistics_taken_again, weight_average
from longtail.engine.fitted_heads import fit_heads
from longtail.engine.graph import CudaRecorder, RecordedStep
from longtail.engine.job import Job
from longtail.engine.meter import Meter
from longtail.engine.objective import Objective, distributed
from longtail.engine.optimizers import build_optimizer, restore, set_rate
from longtail.engine.probes import GradientShare
from longtail.engine.processes import ALONE
from longtail.engine.reuse import stored_features
from longtail.engine.schedule import stage_rate
from longtail.engine.views import augment_views, crops_on_reading, view_boxes, view_keys
from longtail.method import Stage
from longtail.models import ExpertModel
from longtail.types import Batch, Progress, Sampler

SECOND = 32  # which of the 64 order streams of a seed are those of second samplers


def freeze(
    model: ExpertModel, stage: Stage, frozen_stages: int = 0, *, frozen_statistics: bool = False
) -> None:
    """Let only the stage's parameters, and its head bank, take gradients; put batch norm into its mode.

    Args:
        model: the network.
        stage: the run's stage.
        frozen_stages: so many of the network's first stages, and its stem, are left as they are whatever the stage
            trains, statistics of batch norm included.
        frozen_statistics: batch norm uses the statistics that it has, in all stages of the network.
    """
    frozen = set()
    for name, parameter in model.named_parameters():
        spare = name.startswith("heads.") and not name.startswith(f"heads.{stage.bank}.")
        wanted = stage.trains(name)
        if frozen_stages and model.depth(name) <= frozen_stages:
            frozen.add(parameter)
        parameter.requires_grad_(wanted and not spare and parameter not in frozen)
    model.train()
    for module in model.modules():
        if not isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
            continue
        if frozen_statistics:
            module.eval()
        elif not module.weight.requires_grad:
            module.train(stage.batch_norm == "train" and module.weight not in frozen)


class StageTraining:
    """A stage during training: its frozen and trained parameters, its optimizer, and its training step.

    Args:
        job: the run; its network is put into the stage's mode.
        position: which of its stages.
        state: of the run, where it is resumed within the stage.
    """

    def __init__(self, job: Job, position: int, state: dict[str, Any] | None = None) -> None:
        self.job, self.position, self.stage = job, position, job.stages[position]
        if position == 0 and not job.records and job.recipe.optim.fitted_heads:
            fit_heads(job, self.stage)
        self._freeze(epoch=None)
        self.optimizer = build_optimizer(job, self.stage)
        self.average = weight_average(job.model, job.own_parameters, job.recipe.optim, self.stage)
        if state is not None:
            restore(self.optimizer, state["optimizer"])
        if state is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        self.stored = stored_features(job, position, again=state is not None)
        self.features = None if self.stored is None else torch.empty_like(self.stored[0])
        self.plain = Objective(job.model, job.method, job.runtime.autocast, job.processes)
        self.objective = distributed(self.plain)
        self.sharing = ALONE if job.method.mixes_images else job.processes  # who loads and augments a batch
        self.meter = Meter(job.runtime.device)
        wanted = "gradient_share" in job.recipe.run.probes
        self.gradients = GradientShare(job.model) if wanted else None
        self._recorded: RecordedStep | None = None
        alone, scaled = job.processes.count == 1, job.runtime.scaler is not None
        plain = alone and not scaled and not job.recipe.optim.sharpness
        if job.runtime.device.type == "cuda" and job.recipe.run.graphs and plain:
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
        job, o = self.job, self.job.recipe.optim
        rate_at = stage_rate(self.stage, o, job.steps_per_epoch, first=self.position == 0)
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
            self.average.after_step()
            self.meter.count(len(batch.target))
            job.display.step(
                self.stage.name, start.total_epoch + 1, progress.step + 1, o.epochs * job.steps_per_epoch
            )
            yield
        more: dict[str, Any] = {} if self.stored is None else {"stored_views": len(self.stored)}
        if self._recorded is not None:
            more["replayed_steps"] = self._recorded.take_count()
        self.average.after_epoch(start.epoch, lambda: self._retake_statistics(start))
        if self.gradients is not None:
            more["gradient_share"] = self.gradients.take()
        return {"lr": rate} | more | self.meter.read()

    def step(self, batch: Batch, keys: Int64[Tensor, "k 2"], progress: Progress) -> None:
        """One update from one batch of uint8 images; waits for nothing.

        Args:
            batch: what the data gave.
            keys: those of its views, then of the views of the other batch, where there is one, then the method's own.
            progress: where the run stands.
        """
        job, clip_norm = self.job, self.job.recipe.optim.clip_norm
        if self.features is None:
            batch, known = self._augmented(batch, keys), None
        else:
            batch = replace(batch, keys=keys[-1])
            known = self.features.index_select(0, batch.index).transpose(0, 1)
        outcome = self.objective(batch, self.stage.bank, progress, known)
        job.runtime.backward(outcome.total)
        if self.gradients is not None:
            self.gradients.add()
        if job.recipe.optim.sharpness:
            self._sharpen(batch, progress, known)
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

    def _augmented(self, batch: Batch, keys: Int64[Tensor, "k 2"]) -> Batch:
        views = self.job.method.num_views
        other = batch.other and replace(self._shown(batch.other, keys[views:-1]), keys=keys[-1])
        return replace(self._shown(batch, keys[:views]), keys=keys[-1], other=other)

    def _sharpen(self, batch: Batch, progress: Progress, known: Tensor | None) -> None:
        """Put the gradient at the worst weights nearby in the gradient's place (SAM, Foret et al. 2021)."""
        trained = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        own, away = [p.detach().clone() for p in trained], [p.grad for p in trained]
        norm = torch.stack(torch._foreach_norm(away)).norm()
        with torch.no_grad():
            torch._foreach_mul_(away, self.job.recipe.optim.sharpness / (norm + 1e-12))
            torch._foreach_add_(trained, away)
        self.optimizer.zero_grad()
        with statistics_kept(self.job.model):
            again = self.objective(batch, self.stage.bank, progress, known, again=True)
            self.job.runtime.backward(again.total)
        with torch.no_grad():
            torch._foreach_copy_(trained, own)  # to the bit, as no subtraction would

    @torch.no_grad()
    def _retake_statistics(self, start: Progress) -> None:
        """Batch norm's running statistics as plain means over the epoch's images, for the weights as they are."""
        words = view_keys(start.seed, start.total_epoch, self._passes * self.job.method.num_views + 1)
        keys = words.to(self.job.runtime.device)
        with statistics_taken_again(self.job.model) as next_batch:
            for batch in self._batches(start, words) if self.features is None else ():
                next_batch()
                self.plain.look(self._augmented(batch, keys), start)

    def _shown(self, batch: Batch, keys: Int64[Tensor, "v 2"]) -> Batch:
        policies, index = self.job.views, self.sharing.part(batch.drawn_by)
        cropped = crops_on_reading(policies, self.job.data.train)
        return replace(batch, image=augment_views(policies, batch.image, index, keys, cropped=cropped))

    def _freeze(self, epoch: int | None) -> None:
        """Freeze what is not trained in an epoch of the stage; None: what is not trained in any."""
        o = self.job.recipe.optim
        thawed = o.frozen_epochs > 0 and (epoch is None or epoch >= o.frozen_epochs)
        stages = 0 if thawed else o.frozen_stages
        freeze(self.job.model, self.stage, stages, frozen_statistics=o.frozen_statistics)
        for name, parameter in self.job.own_parameters.items():
            parameter.requires_grad_(self.stage.trains(name))

    def _phase(self) -> Callable[[Progress], Hashable | None]:
        """The method's phases, each split by whether the first layers are frozen."""
        phase, epochs = self.job.method.phase, self.job.recipe.optim.frozen_epochs

        def split_by_freezing(progress: Progress) -> Hashable | None:
            own = phase(progress)
            return None if own is None else (own, progress.epoch < epochs)

        return split_by_freezing

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
            repeats=None if sampler == "instance" else showings(order, len(split)),
        )  # fmt: skip
