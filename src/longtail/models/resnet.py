"""ResNets in which M experts own the last stages: those for small images, ResNet-50 and ResNeXt-50."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.models.experts import ExpertModel, HeadKind
from longtail.models.layers import BasicBlock, Bottleneck, ConvBN, FusionGate, GateInit, LastMap, ShortcutKind
from longtail.models.map_size import DEPTHS


@dataclass(frozen=True)
class Layout:
    """The structure of a ResNet: widths, blocks, stem.

    Attributes:
        blocks: residual blocks of each stage.
        widths: channels that each stage puts out; each stage but the first halves height and width.
        stem_width: channels that the stem puts out.
        narrowing: how much narrower a bottleneck is between its 1x1 convolutions; 0: basic blocks.
        groups: of a bottleneck's 3x3 convolution.
        small_images: begins with one 3x3 convolution (CIFAR), not with a 7x7 one and pooling, which quarter the map.
        shortcut: where the shape changes (He et al. 2016): B is a 1x1 convolution, A takes every second pixel and adds
            channels of zeros.
    """

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    stem_width: int
    narrowing: int = 0
    groups: int = 1
    small_images: bool = False
    shortcut: ShortcutKind = "B"

    @property
    def unit(self) -> int:
        """What the width of a stage is a multiple of."""
        return self.narrowing * self.groups or 1

    def shared(self, asked: int | None) -> int:
        """How many stages the experts share: what is asked for, or all but the last."""
        return len(self.widths) - 1 if asked is None else asked

    def scaled(self, factor: float, own_factor: float, shared: int) -> "Layout":
        """Other widths.

        Args:
            factor: of the stem and all stages, relative.
            own_factor: of the experts' own stages besides, and of the stem where it is theirs.
            shared: stages before these.
        """
        own = [factor if n < shared else factor * own_factor for n in range(len(self.widths))]
        widths = tuple(round(width * by) for width, by in zip(self.widths, own, strict=True))
        return replace(self, widths=widths, stem_width=round(self.stem_width * own[0]))

    def stem(self) -> nn.Sequential:
        if self.small_images:
            return nn.Sequential(ConvBN(3, self.stem_width), nn.ReLU(inplace=True))
        first = ConvBN(3, self.stem_width, kernel_size=7, stride=2)
        return nn.Sequential(first, nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1))

    def stage(self, position: int, *, zero_init: bool) -> nn.Sequential:
        width, stride = self.widths[position], 1 if position == 0 else 2
        before = self.widths[position - 1] if position else self.stem_width
        ends = [(before, stride), *[(width, 1)] * (self.blocks[position] - 1)]
        return nn.Sequential(*(self._block(inputs, width, step, zero_init) for inputs, step in ends))

    def _block(self, inputs: int, width: int, stride: int, zero_init: bool) -> nn.Module:
        if not self.narrowing:
            return BasicBlock(inputs, width, stride, zero_init, self.shortcut)
        inner = width // self.narrowing
        return Bottleneck(inputs, width, inner, stride, self.groups, zero_init, self.shortcut)


def _cifar(depth: int) -> Layout:
    """A ResNet of depth 6n+2 (He et al. 2016, section 4.2)."""
    return Layout(((depth - 2) // 6,) * 3, (16, 32, 64), 16, small_images=True)


PHOTOGRAPHS = ((3, 4, 6, 3), (256, 512, 1024, 2048), 64)
RESNETS = {
    **{f"resnet{depth}": _cifar(depth) for depth in DEPTHS},
    "resnet34-small": Layout((3, 4, 6, 3), (64, 128, 256, 512), 64, small_images=True),
    "resnet50": Layout(*PHOTOGRAPHS, narrowing=4),
    "resnext50_32x4d": Layout(*PHOTOGRAPHS, narrowing=2, groups=32),
}


class _Path(nn.Module):
    """A run of consecutive stages, after a stem if it holds the first; keeps the output of each stage."""

    def __init__(self, layout: Layout, start: int, stop: int, *, stem: bool, zero_init: bool) -> None:
        super().__init__()
        self.stem = layout.stem() if stem else nn.Identity()
        self.stages = nn.ModuleList(layout.stage(n, zero_init=zero_init) for n in range(start, stop))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class ExpertResNet(ExpertModel):
    """A ResNet with a shared trunk, M experts and named head banks.

    Args:
        layout: which ResNet, one of `RESNETS`.
        num_classes: C.
        num_experts: M >= 1.
        shared_stages: how many stages all experts share: all = only the classifiers differ, all but one = each expert
            owns the last stage (ICL, SHIKE; the default), all but two (RIDE), 0 = M separate networks (NCL).
        gates: multiply expert m's last map elementwise by a gate before average pooling. The gates come from the stages
            before the last in turn: of a ResNet of three stages from the first (m even) or the second (m odd).
        gate_init: how the gates' convolutions begin, see `FusionGate`.
        head: kind of classifier, see `ExpertHeads`.
        fresh_head: kind of the classifiers in every head bank but the first; None takes `head`.
        cosine_scale: s of the cosine classifier.
        zero_init_residual: start each block as its shortcut alone (last batch norm's weight 0, Goyal et al. 2017); a
            cosine classifier of scale 30 sends gradients 30 times those of a linear one into a fresh network.
        banks: names of the classifier banks; the first is used unless another is asked for.
        shared_head: each head bank has one classifier for all experts (ResLT).
        branch_norm: each expert has a batch norm of its own on the last map, before its gate (ResLT, where all stages
            are shared).
        detach_trunk: for each expert whether its gradient stops before the shared stages (ACE); empty: none does.
        standardized, hidden_units: of the neck, see `add_heads`; before one that standardises, all stages are shared.
    """

    def __init__(
        self,
        layout: Layout,
        num_classes: int,
        num_experts: int,
        *,
        shared_stages: int | None = None,
        gates: bool = True,
        gate_init: GateInit = "kaiming_normal",
        head: HeadKind = "cosine",
        fresh_head: HeadKind | None = None,
        cosine_scale: float = 30.0,
        zero_init_residual: bool = False,
        banks: Sequence[str] = ("first",),
        shared_head: bool = False,
        branch_norm: bool = False,
        detach_trunk: Sequence[bool] = (),
        standardized: bool = False,
        hidden_units: int = 0,
    ) -> None:
        super().__init__()
        self.num_stages = len(layout.widths)
        shared = layout.shared(self.num_stages if standardized else shared_stages)
        self.shared_stages = shared
        self.trunk = _Path(layout, 0, shared, stem=shared > 0, zero_init=zero_init_residual)
        self.experts = nn.ModuleList(
            _Path(layout, shared, self.num_stages, stem=shared == 0, zero_init=zero_init_residual)
            for _ in range(num_experts)
        )
        norms = num_experts if branch_norm else 0
        self.norms = nn.ModuleList(nn.BatchNorm2d(layout.widths[-1]) for _ in range(norms))
        sources = [self._gate_from(expert) for expert in range(num_experts)] if gates else []
        self.gates = nn.ModuleList(FusionGate(*layout.widths[source:], init=gate_init) for source in sources)
        self.pooled = nn.ModuleList(LastMap() for _ in range(num_experts))
        self.detach_trunk = tuple(detach_trunk)
        self.add_heads(
            num_classes, num_experts, layout.widths[-1],
            head=head, fresh_head=fresh_head, cosine_scale=cosine_scale, banks=banks, shared_head=shared_head,
            standardized=standardized, hidden_units=hidden_units,
        )  # fmt: skip

    def backbone_features(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "m b d"]:
        """The experts' features h^m: pooled last maps."""
        shared = self.trunk(image)
        branches = [partial(self._branch, expert, image, shared) for expert in range(self.num_experts)]
        return self.stacked(branches, [image, *shared])

    def depth(self, name: str) -> int:
        parts = name.split(".")
        if parts[0] == "trunk":
            return 0 if parts[1] == "stem" else int(parts[2]) + 1
        if parts[0] == "experts":
            return 0 if parts[2] == "stem" else self.shared_stages + int(parts[3]) + 1
        return self.num_stages + (parts[0] in ("heads", "neck"))

    def _branch(self, expert: int, image: Tensor, shared: list[Tensor]) -> Float[Tensor, "b d"]:
        if self.is_detached(expert):
            shared = [each.detach() for each in shared]
        maps = shared + self.experts[expert](shared[-1] if shared else image)
        last: Tensor = maps[-1]
        if self.norms:
            last = self.norms[expert](last)
        if self.gates:
            last = last * self.gates[expert](maps[self._gate_from(expert)])
        last = self.pooled[expert](last)
        return last.mean(dim=(2, 3), dtype=torch.promote_types(last.dtype, torch.float32))

    def last_maps(self) -> list[nn.Module]:
        return list(self.pooled)

    def _gate_from(self, expert: int) -> int:
        return expert % (self.num_stages - 1)
