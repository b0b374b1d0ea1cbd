"""Splits timm's networks into stem, stages and tail, for each family."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.models.layers import LastMap


class Parts(NamedTuple):
    """A network in order; one after the other they make the features that its own classifier would see.

    Attributes:
        stem: from images to the first map.
        stages: each from map to map, the last with whatever comes before pooling.
        tail: pooling and what follows it, to (B, D).
        owned: how many of the last stages an expert owns where nothing else is asked for.
    """

    stem: nn.Module
    stages: tuple[nn.Module, ...]
    tail: nn.Module
    owned: int = 1


class _Tokens(nn.Module):
    """A vision transformer's way from images to tokens."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        net.blocks, net.norm, net.fc_norm, net.head = (nn.Identity() for _ in range(4))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b t d"]:
        tokens = self.net.patch_drop(self.net._pos_embed(self.net.patch_embed(image)))
        normed: Tensor = self.net.norm_pre(tokens)
        return normed


class _TokenMap(nn.Module):
    """Shows the image's tokens as a map, and hands all tokens on as they are."""

    def __init__(self, prefix_tokens: int) -> None:
        super().__init__()
        self.prefix_tokens, self.last_map = prefix_tokens, LastMap()

    def forward(self, tokens: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        prefix, grid = tokens[:, : self.prefix_tokens], tokens[:, self.prefix_tokens :]
        side = math.isqrt(grid.shape[1])  # images are square
        seen = self.last_map(grid.mT.unflatten(-1, (side, side)))  # type: ignore[no-untyped-call]
        return torch.cat([prefix, seen.flatten(2).mT], dim=1)


class _TokenTail(nn.Module):
    """A vision transformer's way from tokens to one vector."""

    def __init__(self, norm: nn.Module, fc_norm: nn.Module, pool: str, prefix_tokens: int) -> None:
        super().__init__()
        self.norm, self.fc_norm, self.pool, self.prefix_tokens = norm, fc_norm, pool, prefix_tokens

    def forward(self, tokens: Float[Tensor, "b t d"]) -> Float[Tensor, "b d"]:
        tokens = self.norm(tokens)
        pooled = tokens[:, 0] if self.pool == "token" else tokens[:, self.prefix_tokens :].mean(dim=1)
        vector: Tensor = self.fc_norm(pooled)
        return vector


def _pooled(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(LastMap(), *layers)


def _resnet(net: Any) -> Parts:
    stem = nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool)
    return Parts(stem, (net.layer1, net.layer2, net.layer3, net.layer4), _pooled(net.global_pool))


def _efficientnet(net: Any) -> Parts:
    *early, last = net.blocks
    stages = (*early, nn.Sequential(last, net.conv_head, net.bn2))
    return Parts(nn.Sequential(net.conv_stem, net.bn1), stages, _pooled(net.global_pool))


def _mobilenet(net: Any) -> Parts:
    tail = _pooled(net.global_pool, net.conv_head, net.norm_head, net.act2, net.flatten)
    return Parts(nn.Sequential(net.conv_stem, net.bn1), tuple(net.blocks), tail)


def _convnext(net: Any) -> Parts:
    head = net.head
    norm, last = (getattr(head, name, nn.Identity()) for name in ("norm", "pre_logits"))
    tail = _pooled(net.norm_pre, head.global_pool, norm, head.flatten, last)
    return Parts(net.stem, tuple(net.stages), tail)


def _vit(net: Any) -> Parts:
    if net.global_pool not in ("token", "avg") or net.attn_pool is not None:
        raise ValueError(f"it pools by {net.global_pool!r}")
    *early, last = net.blocks
    pool, prefix = net.global_pool, net.num_prefix_tokens
    blocks = (*early, nn.Sequential(_TokenMap(prefix), last))
    tail = _TokenTail(net.norm, net.fc_norm, pool, prefix)
    return Parts(_Tokens(net), blocks, tail, owned=2)


TAKE_APART: dict[str, tuple[str, Callable[[Any], Parts]]] = {
    "resnet": ("ResNet", _resnet),
    "efficientnet": ("EfficientNet", _efficientnet),
    "mobilenetv3": ("MobileNetV3", _mobilenet),
    "convnext": ("ConvNeXt", _convnext),
    "vision_transformer": ("VisionTransformer", _vit),
}
"""Module of timm -> class of its networks and how one is taken apart."""


def take_apart(net: nn.Module) -> Parts:
    """A timm network as its parts; the network itself is used up.

    Raises:
        ValueError: it is of no known family; the message says what it is.
    """
    for name, split in TAKE_APART.values():
        if type(net).__name__ == name:
            return split(net)
    raise ValueError(f"it is a {type(net).__name__}")
