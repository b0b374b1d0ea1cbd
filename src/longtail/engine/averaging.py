"""Weight averaging over steps or epochs; the averaged weights are evaluated and saved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from longtail.method import Stage
from longtail.recipe.options import OptimOptions


class WeightAverage:
    """The average of a stage's weights: it is evaluated and saved, and the next stage starts from it.

    With `optim.ema` it moves after each step, by 1 - min(ema, (1 + t) / (10 + t)) towards the weights of step t of the
    stage; statistics of batch norm move along. With `optim.average_last` = K it is the mean of the weights at the end
    of each of the stage's last K epochs (stochastic weight averaging, Izmailov et al. 2018), and the statistics are
    taken again, over a pass through the training images.

    Args:
        tensors: what changes in training, by name: parameters, and floating-point buffers of the network.
        options: the recipe's [optim] section.
        stage: the stage.
    """

    def __init__(self, tensors: dict[str, Tensor], options: OptimOptions, stage: Stage) -> None:
        self.names, self.values = list(tensors), [value.detach() for value in tensors.values()]
        self.ema, self.last = options.ema, options.average_last
        self.start = 0 if self.ema else max(0, stage.epochs - self.last)
        self.averages = [value.clone() for value in self.values]
        self.count = 0

    @property
    def is_known(self) -> bool:
        """Whether anything was averaged yet."""
        return self.count > 0

    def after_step(self) -> None:
        """Move towards the weights that a step left."""
        if self.ema:
            decay = min(self.ema, (1 + self.count) / (10 + self.count))
            self._move(1 - decay)

    def after_epoch(self, epoch: int, retake: Callable[[], None]) -> None:
        """Take the weights that an epoch of the stage left into the mean.

        Args:
            epoch: of the stage, from 0.
            retake: takes the statistics of batch norm again, for the weights that are in the network.
        """
        if self.last and epoch >= self.start:
            self._move(1 / (self.count + 1))
            with self.shown(keep=True):
                retake()

    def _move(self, share: float) -> None:
        torch._foreach_lerp_(self.averages, self.values, share)
        self.count += 1

    @contextmanager
    def shown(self, *, keep: bool = False) -> Iterator[None]:
        """The average in place of the weights, where there is one.

        Args:
            keep: what changes meanwhile, changes the average.
        """
        if not self.is_known:
            yield
            return
        own = [value.clone() for value in self.values]
        torch._foreach_copy_(self.values, self.averages)
        try:
            yield
            if keep:
                torch._foreach_copy_(self.averages, self.values)
        finally:
            torch._foreach_copy_(self.values, own)

    def settle(self) -> None:
        """Make the average the weights, for good."""
        if self.is_known:
            torch._foreach_copy_(self.values, self.averages)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "averages": dict(zip(self.names, self.averages, strict=True))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a saved state.

        Raises:
            KeyError: it is that of other tensors.
        """
        self.count = int(state["count"])
        torch._foreach_copy_(self.averages, [state["averages"][name] for name in self.names])


class NoAverage(WeightAverage):
    """No averaging, where the recipe asks for none."""

    def __init__(self) -> None:
        self.names, self.values, self.averages = [], [], []
        self.ema, self.last, self.start, self.count = 0.0, 0, 0, 0


def weight_average(
    model: nn.Module, own: dict[str, nn.Parameter], options: OptimOptions, stage: Stage
) -> WeightAverage:
    """The average that the recipe asks for, over what the stage trains and the network's statistics.

    Args:
        model: the network, with the stage's parameters alone taking gradients.
        own: the method's parameters by name; those that take gradients count.
        options: the recipe's [optim] section.
        stage: the stage.
    """
    if not options.ema and not options.average_last:
        return NoAverage()
    trained = {name: p for name, p in (*model.named_parameters(), *own.items()) if p.requires_grad}
    statistics = {name: b for name, b in model.named_buffers() if b.is_floating_point()}
    return WeightAverage(trained | statistics, options, stage)


@contextmanager
def statistics_taken_again(model: nn.Module) -> Iterator[Callable[[], None]]:
    """A context in which batch norms in training mode recompute their statistics as plain means over the batches.

    Yields:
        What has to be called before each batch.
    """
    with _own_momentum(model) as norms:
        seen = 0

        def next_batch() -> None:
            nonlocal seen
            seen += 1
            for norm in norms:
                norm.momentum = 1 / seen

        yield next_batch


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """A context in which batch norms do not change their running statistics."""
    with _own_momentum(model) as norms:
        for norm in norms:
            norm.momentum = 0.0
        yield


@contextmanager
def _own_momentum(model: nn.Module) -> Iterator[list[_BatchNorm]]:
    """The batch norms in training mode, whose momentum is given back in the end."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    shares = [norm.momentum for norm in norms]
    try:
        yield norms
    finally:
        for norm, share in zip(norms, shares, strict=True):
            norm.momentum = share
