"""PyTorch's SGD without what it does for its compiler."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD


class PlainSGD(SGD):
    """The same arithmetic by the same code, without the wrappers around it.

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
