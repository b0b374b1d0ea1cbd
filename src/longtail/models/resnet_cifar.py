"""CIFAR ResNets (He et al. 2016) whose last stages are owned by M experts."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.models.experts import ExpertModel, HeadKind
from longtail.models.layers import BasicBlock, ConvBN, FusionGate, LastMap

WIDTHS = (16, 32, 64)
DEPTHS = {"resnet20": 20, "resnet32": 32, "resnet44": 44, "resnet56": 56}


def _stage(position: int, blocks: int, zero_init: bool) -> nn.Sequential:
    width, inputs = WIDTHS[position], WIDTHS[max(position - 1, 0)]
    first = BasicBlock(inputs, width, 1 if position == 0 else 2, zero_init)
    return nn.Sequential(first, *(BasicBlock(width, width, 1, zero_init) for _ in range(blocks - 1)))


class _Path(nn.Module):
    """A run of consecutive stages, after a stem if it holds the first; keeps the output of each stage."""

    def __init__(self, start: int, stop: int, blocks: int, *, stem: bool, zero_init: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBN(3, WIDTHS[0]), nn.ReLU(inplace=True)) if stem else nn.Identity()
        self.stages = nn.ModuleList(_stage(position, blocks, zero_init) for position in range(start, stop))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class ExpertResNet(ExpertModel):
    """A CIFAR ResNet of depth 6n+2 with a shared trunk, M experts and named banks of classifiers.

    Args:
        depth: 20, 32, 44 or 56.
        num_classes: C.
        num_experts: M >= 1.
        shared_stages: how many of the three stages all experts share: 3 = only the classifiers differ,
            2 = each expert owns the last stage (ICL, SHIKE), 1 (RIDE), 0 = M separate networks (NCL).
        gates: multiply expert m's last map elementwise by a gate from its first stage (m even) or second stage
            (m odd) before average pooling.
        head: kind of classifier, see `ExpertHeads`.
        fresh_head: kind of the classifiers in every bank but the first; None takes `head`.
        cosine_scale: s of the cosine classifier.
        zero_init_residual: start each block as its shortcut alone (last batch norm's weight 0, Goyal et al. 2017); a
            cosine classifier of scale 30 sends gradients 30 times those of a linear one into a fresh network.
        banks: names of the classifier banks; the first is used unless another is asked for.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int,
        num_experts: int,
        *,
        shared_stages: int = 2,
        gates: bool = True,
        head: HeadKind = "cosine",
        fresh_head: HeadKind | None = None,
        cosine_scale: float = 30.0,
        zero_init_residual: bool = False,
        banks: Sequence[str] = ("first",),
    ) -> None:
        super().__init__()
        self.shared_stages = shared_stages
        blocks = (depth - 2) // 6
        self.trunk = _Path(0, shared_stages, blocks, stem=shared_stages > 0, zero_init=zero_init_residual)
        self.experts = nn.ModuleList(
            _Path(shared_stages, len(WIDTHS), blocks, stem=shared_stages == 0, zero_init=zero_init_residual)
            for _ in range(num_experts)
        )
        sources = [expert % 2 for expert in range(num_experts)] if gates else []
        self.gates = nn.ModuleList(FusionGate(WIDTHS[source], WIDTHS[-1]) for source in sources)
        self.pooled = nn.ModuleList(LastMap() for _ in range(num_experts))
        self.add_heads(
            num_classes, num_experts, WIDTHS[-1],
            head=head, fresh_head=fresh_head, cosine_scale=cosine_scale, banks=banks,
        )  # fmt: skip

    def extract(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "m b d"]:
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
        return len(WIDTHS) + (parts[0] == "heads")

    def _branch(self, expert: int, image: Tensor, shared: list[Tensor]) -> Float[Tensor, "b d"]:
        maps = shared + self.experts[expert](shared[-1] if shared else image)
        last: Tensor = maps[-1]
        if self.gates:
            last = last * self.gates[expert](maps[expert % 2])
        last = self.pooled[expert](last)
        return last.mean(dim=(2, 3), dtype=torch.float32)

    def last_maps(self) -> list[nn.Module]:
        return list(self.pooled)
