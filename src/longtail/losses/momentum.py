"""A moving-average copy of a network (momentum encoder), and a queue of its features as keys."""

import copy
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def moving_average_copy(module: Module) -> Module:
    """A copy of the module whose parameters take no gradient, for `update_moving_average`.

    Args:
        module: any; the copy has its parameters, buffers and mode.

    Returns:
        The copy, which shares no memory with it.

    """
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def update_moving_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Move the copy's parameters, average = decay * average + (1 - decay) * module, in place; copy the buffers.

    Args:
        average: made by `moving_average_copy(module)`.
        module: of the same form.
        decay: weight kept on the old value, in [0, 1].

    Source: He et al., Momentum Contrast, CVPR 2020.

    Example:
        >>> module = torch.nn.Linear(1, 1)
        >>> average = moving_average_copy(module)
        >>> _ = torch.nn.init.zeros_(average.weight), torch.nn.init.ones_(module.weight)
        >>> update_moving_average(average, module, decay=0.75)
        >>> average.weight
        Parameter containing:
        tensor([[0.2500]])

    """
    moved: list[Tensor] = list(average.parameters())
    current: list[Tensor] = list(module.parameters())
    if moved:
        torch._foreach_lerp_(moved, current, 1 - decay)
    held, fresh = list(average.buffers()), list(module.buffers())
    if held:
        torch._foreach_copy_(held, fresh)


class KeyQueue(nn.Module):
    """The last keys that were pushed and their classes: a ring, oldest overwritten first.

    A step that pushes is one of fixed shapes without host synchronisation. Losses make their own copy of the keys,
    so a push may come between a loss and its backward pass.

    Attributes:
        keys: (M, size, D), zero where nothing has been pushed yet.
        key_target: (size,) class indices, -1 where nothing has been pushed yet; losses leave these out.
        pointer: () where the next key goes.

    Args:
        size: >= 1.
        dim: D >= 1; memory is 4 * M * size * D bytes.
        num_experts: M >= 1.

    """

    keys: Tensor
    key_target: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int, num_experts: int = 1) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(num_experts, size, dim))
        self.register_buffer("key_target", torch.full((size,), -1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Float[Tensor, "m n d"], target: Int[Tensor, " n"]) -> None:
        """Put keys in, in their order; of more than fit the last ones stay.

        Args:
            keys: (M, N, D).
            target: (N,) class indices >= 0.

        """
        size = len(self.key_target)
        keys, target = keys[:, -size:], target[-size:]
        places = (self.pointer + torch.arange(len(target), device=target.device)) % size
        self.keys.index_copy_(1, places, keys.to(self.keys.dtype))
        self.key_target.index_copy_(0, places, target.long())
        self.pointer.add_(len(target)).remainder_(size)
