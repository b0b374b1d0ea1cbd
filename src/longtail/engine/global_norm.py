"""Batch norm with statistics over the shards of a batch in all processes."""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

AXES = (0, 2, 3)


def normalize_globally(model: nn.Module) -> None:
    """Let every batch norm take its statistics from the parts of all processes; names of the state stay as they are."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _global(child))


def _global(norm: nn.BatchNorm2d) -> nn.Module:
    if norm.weight.is_cuda and type(norm) is nn.BatchNorm2d:
        synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return synchronized
    if norm.weight.is_cuda:
        from timm import layers  # knows timm's norms with an activation

        converted: nn.Module = layers.convert_sync_batchnorm(norm)  # type: ignore[attr-defined, no-untyped-call]
        return converted
    return GlobalBatchNorm(norm)


class GlobalBatchNorm(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for CPUs, where torch has none: equal to batch norm of all parts joined.

    A part may be empty. Sums are taken in fp64, as torch's own kernel for CPUs does.

    Args:
        like: the batch norm to take the place of; an activation that it holds, as timm's do, is kept.
    """

    def __init__(self, like: nn.BatchNorm2d) -> None:
        super().__init__(
            like.num_features, like.eps, like.momentum, device=like.weight.device, dtype=like.weight.dtype
        )
        self.load_state_dict(like.state_dict())
        follows = (getattr(like, name, nn.Identity()) for name in ("drop", "act"))
        self.after = nn.Identity() if type(like) is nn.BatchNorm2d else nn.Sequential(*follows)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        output: Tensor = self.after(self._normalized(input))
        return output

    def _normalized(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if not self.training:
            return super().forward(input)
        normalized: tuple[Tensor, ...] = _Normalize.apply(input, self.weight, self.bias, self.eps)
        output, mean, variance, rows = normalized
        share = cast(float, self.momentum)  # no norm here keeps a plain mean instead
        with torch.no_grad():
            self.get_buffer("num_batches_tracked").add_(1)
            self.get_buffer("running_mean").lerp_(mean, share)
            running = self.get_buffer("running_var")
            running.lerp_((variance * rows / (rows - 1)).to(running.dtype), share)
        return output


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and variance over all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        rows = torch.full((1,), x.numel() // x.shape[1], dtype=torch.float64, device=x.device)
        sums = torch.cat([x.sum(AXES, dtype=torch.float64), rows])
        distributed.all_reduce(sums)
        rows = sums[-1]
        if rows == 1:
            raise ValueError("expected more than 1 value per channel in training")
        mean = (sums[:-1] / rows).to(weight.dtype)
        squares = (x - _channels(mean)).square().sum(AXES, dtype=torch.float64)
        distributed.all_reduce(squares)
        variance = squares / rows
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt().to(weight.dtype), rows)
        ctx.mark_non_differentiable(mean, variance, rows)
        output = functional.batch_norm(x, mean, variance.to(weight.dtype), weight, bias, eps=eps)
        return output, mean, variance, rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, rows = ctx.saved_tensors
        normal = (x - _channels(mean)) * _channels(scale)
        own = torch.stack([part.sum(AXES, dtype=torch.float64) for part in (gradient, gradient * normal)])
        sums = own.clone()
        distributed.all_reduce(sums)
        shift, slope = (_channels((part / rows).to(weight.dtype)) for part in sums)
        moved = (gradient - shift - normal * slope) * _channels(scale * weight)
        return moved.to(x.dtype), own[1].to(weight.dtype), own[0].to(weight.dtype), None


def _channels(values: Float[Tensor, " c"]) -> Float[Tensor, "c 1 1"]:
    return values[:, None, None]
