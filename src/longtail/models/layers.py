"""Layers of expert networks: convolution with batch norm, residual blocks, fusion gate, head bank."""

import copy
import math
from itertools import pairwise
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)
ShortcutKind = Literal["A", "B"]
GateInit = Literal["kaiming_normal", "pytorch"]


class ConvBN(nn.Module):
    """A convolution without bias, then batch norm: one unit, so that evaluation can fold the two into one."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        output: Tensor = self.norm(self.conv(x))
        return output


class PaddedShortcut(nn.Module):
    """Every stride-th pixel, between channels of zeros (He et al. 2016, option A): nothing to learn.

    Args:
        inputs: channels that come in.
        outputs: channels that go out, no fewer; half of what is added lies before the others.
        stride: of the pixels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        added = outputs - inputs
        self.stride, self.padding = stride, (0, 0, 0, 0, added // 2, added - added // 2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return functional.pad(x[:, :, :: self.stride, :: self.stride], self.padding)


def _shortcut(inputs: int, outputs: int, stride: int, option: ShortcutKind) -> nn.Module:
    """The identity; where the shape changes a 1x1 convolution (He et al. 2016, option B), or no parameter (A)."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if option == "A":
        return PaddedShortcut(inputs, outputs, stride)
    return ConvBN(inputs, outputs, kernel_size=1, stride=stride)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, zero_init: bool = False, shortcut: ShortcutKind = "B"
    ) -> None:
        super().__init__()
        self.first = ConvBN(inputs, outputs, stride=stride)
        self.second = ConvBN(outputs, outputs)
        if zero_init:
            nn.init.zeros_(self.second.norm.weight)
        self.shortcut = _shortcut(inputs, outputs, stride, shortcut)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        inner = functional.relu(self.first(x), inplace=True)
        return functional.relu(self.second(inner) + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al. 2016); the 3x3 one has the stride, and in ResNeXt groups.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        inner: channels between the two 1x1 convolutions.
        stride: of the 3x3 convolution.
        groups: of the 3x3 convolution (Xie et al. 2017).
        zero_init: start as the shortcut alone.
        shortcut: He et al.'s option where the shape changes.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        inner: int,
        stride: int,
        groups: int = 1,
        zero_init: bool = False,
        shortcut: ShortcutKind = "B",
    ) -> None:
        super().__init__()
        self.first = ConvBN(inputs, inner, kernel_size=1)
        self.second = ConvBN(inner, inner, stride=stride, groups=groups)
        self.third = ConvBN(inner, outputs, kernel_size=1)
        if zero_init:
            nn.init.zeros_(self.third.norm.weight)
        self.shortcut = _shortcut(inputs, outputs, stride, shortcut)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        inner = functional.relu(self.first(x), inplace=True)
        inner = functional.relu(self.second(inner), inplace=True)
        return functional.relu(self.third(inner) + self.shortcut(x), inplace=True)


class LastMap(nn.Identity):
    """The place where an expert's last map (B, D, h, w) can be read and a gradient taken; changes nothing."""


class FusionGate(nn.Sequential):
    """Depth-wise fusion gate (Jin et al., CVPR 2023): a shallow map brought to the shape of the last one.

    One stride-2 3x3 convolution with batch norm and ReLU for each stage between the two, except that a chain
    of several ends without ReLU, so a gate of a CIFAR ResNet's first stage is signed and one of the second is not.

    Args:
        widths: channels of the stage that it comes from, of those after it, and of the last.
        init: how its convolutions begin: as all others, or as PyTorch has it, 2.4 times smaller.
    """

    def __init__(self, *widths: int, init: GateInit = "kaiming_normal") -> None:
        layers: list[nn.Module] = []
        for step, (inputs, outputs) in enumerate(pairwise(widths)):
            unit = ConvBN(inputs, outputs, stride=2)
            if init == "pytorch":
                unit.conv.reset_parameters()
            layers.append(unit)
            if step < max(1, len(widths) - 2):
                layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ExpertHeads(nn.Module):
    """A head bank: M classifiers, computed in one batched product.

    Args:
        num_experts: M.
        num_classes: C.
        dim: D, the length of a feature vector.
        kind: "cosine": scale * cos(h, w_c), no bias (rows start as random unit vectors); "linear": w_c . h + b_c.
        scale: the cosine classifier's scale s > 0.
        shared: one classifier for all experts (ResLT); the parameters have the shapes of M = 1.
    """

    def __init__(
        self,
        num_experts: int,
        num_classes: int,
        dim: int,
        kind: Literal["cosine", "linear"],
        scale: float,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.num_experts, self.kind, self.scale = num_experts, kind, scale
        own = 1 if shared else num_experts
        if kind == "cosine":
            rows = functional.normalize(torch.randn(own, num_classes, dim), dim=-1)
            self.weight = nn.Parameter(rows)
            self.register_parameter("bias", None)
        else:
            bound = 1 / math.sqrt(dim)
            self.weight = nn.Parameter(torch.empty(own, num_classes, dim).uniform_(-bound, bound))
            self.bias = nn.Parameter(torch.empty(own, 1, num_classes).uniform_(-bound, bound))

    def classifiers(self) -> Float[Tensor, "m c d"]:
        """The weights of each expert's classifier; of a shared one a view that repeats it M times."""
        shared = len(self.weight) < self.num_experts
        return self.weight.expand(self.num_experts, -1, -1) if shared else self.weight

    def forward(self, features: Float[Tensor, "m b d"]) -> Float[Tensor, "m b c"]:
        with torch.autocast(
            features.device.type, enabled=False
        ):  # logits near 30 have no digits left in half precision
            return self._logits(features.to(self.weight.dtype))

    def _logits(self, features: Float[Tensor, "m b d"]) -> Float[Tensor, "m b c"]:
        if self.kind == "linear":
            return torch.baddbmm(self.bias, features, self.classifiers().mT)
        directions = functional.normalize(self.classifiers(), dim=-1)
        return self.scale * torch.bmm(functional.normalize(features, dim=-1), directions.mT)


def fold_batch_norm(model: Network) -> Network:
    """A copy of a model for evaluation in which every `ConvBN` is one convolution with bias; the model is not changed.

    Outputs agree with `model.eval()` up to rounding (about 1e-6 relative in fp32).
    """
    fused = {id(module): _fused(module) for module in model.modules() if isinstance(module, ConvBN)}
    return copy.deepcopy(model, fused).eval().requires_grad_(False)


def _fused(module: ConvBN) -> nn.Module:
    conv, norm = copy.deepcopy(module.conv), module.norm
    mean, var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    fused = fuse_conv_bn_weights(conv.weight, conv.bias, mean, var, norm.eps, norm.weight, norm.bias)
    conv.weight, conv.bias = fused
    return conv
