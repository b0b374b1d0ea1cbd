"""The optimizer of a stage: PyTorch's own, without the wrappers for its compiler."""

import fnmatch
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor
from torch.optim import SGD, AdamW

from longtail.engine.job import Job
from longtail.method import Stage


class PlainSGD(SGD):
    """PyTorch's SGD with the same arithmetic, without the wrappers around it.

    They load PyTorch's compiler, which takes seconds and a good part of the time to a first step, only to tell it to
    keep away. Nothing is compiled here, and hooks on steps, which another wrapper calls, are not used.
    """

    add_param_group = inspect.unwrap(SGD.add_param_group)
    zero_grad = inspect.unwrap(SGD.zero_grad)
    state_dict = inspect.unwrap(SGD.state_dict)
    load_state_dict = inspect.unwrap(SGD.load_state_dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        return inspect.unwrap(SGD.step)(self, closure)


class PlainAdamW(AdamW):
    """PyTorch's AdamW in the same way, see `PlainSGD`.

    Recorded on CUDA it needs no `capturable`: the fused form, which is used there, keeps all it reads on the device.
    """

    add_param_group = inspect.unwrap(AdamW.add_param_group)
    zero_grad = inspect.unwrap(AdamW.zero_grad)
    state_dict = inspect.unwrap(AdamW.state_dict)
    load_state_dict = inspect.unwrap(AdamW.load_state_dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        return inspect.unwrap(AdamW.step)(self, closure)

    def _accelerator_graph_capture_health_check(self) -> None:
        """Nothing to refuse or to warn of, see above."""


def build_optimizer(job: Job, stage: Stage) -> AcceleratedOptimizer:
    """The recipe's optimizer over the parameters that the stage trains, with fresh momentum."""
    o = job.recipe.optim
    rate = stage.peak_lr or o.peak_lr
    on_cuda = job.runtime.device.type == "cuda"
    groups = list(_groups(job, stage))
    parameters = [parameter for group in groups for parameter in group["params"]]
    for group in groups:  # a recorded step reads it again, hence a tensor, one for each group
        own = rate * group["share"]
        group["lr"] = torch.tensor(own, device=job.runtime.device) if on_cuda else own
    decay = o.weight_decay if stage.weight_decay is None else stage.weight_decay
    fused = job.runtime.device.type in ("cpu", "cuda")
    if o.optimizer == "adamw":
        betas = (o.momentum, o.beta2)
        return job.runtime.prepare_optimizer(PlainAdamW(groups, betas=betas, weight_decay=decay, fused=fused))
    optimizer = PlainSGD(groups, momentum=o.momentum, nesterov=o.nesterov, weight_decay=decay, fused=fused)
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
    """Resume from a saved state, whose learning rate is that of a step gone by."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
