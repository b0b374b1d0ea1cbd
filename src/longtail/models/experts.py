"""Base of all networks with M experts: features of each expert, and head banks on top of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.models.layers import ExpertHeads
from longtail.models.neck import Neck
from longtail.models.streams import side_by_side
from longtail.types import ModelOutput

HeadKind = Literal["cosine", "linear"]
SIDE_PATHS = {"downsample", "shortcut", "se"}
"""What blocks, ours and timm's, call their shortcuts and their attention to channels."""


class ExpertModel(nn.Module, ABC):
    """M experts with named head banks; a subclass builds trunk and branches, then calls `add_heads`.

    Attributes:
        num_classes: C.
        num_experts: M.
        feature_dim: D.
        banks: names of the classifier banks; the first is used unless another is asked for.
        detach_trunk: for each expert whether its gradient stops before the shared stages; empty: none does.
        neck: what lies between the network's features and the classifiers; None: nothing.
    """

    neck: Neck | None
    branch_streams: bool = False
    """Whether the experts' branches run side by side while a CUDA graph is recorded; changes no result."""

    image_multiple: int = 1
    """What the side of an image in pixels has to be a multiple of."""

    num_classes: int
    num_experts: int
    feature_dim: int
    banks: tuple[str, ...]
    detach_trunk: tuple[bool, ...]
    experts: nn.ModuleList
    heads: nn.ModuleDict

    def add_heads(
        self,
        num_classes: int,
        num_experts: int,
        feature_dim: int,
        *,
        head: HeadKind,
        fresh_head: HeadKind | None,
        cosine_scale: float,
        banks: Sequence[str],
        shared_head: bool = False,
        standardized: bool = False,
        hidden_units: int = 0,
    ) -> None:
        """Make the head banks, and the neck before them where one is asked for.

        Args:
            num_classes: C.
            num_experts: M.
            feature_dim: D of the network itself.
            head: kind of classifier, see `ExpertHeads`.
            fresh_head: kind of the classifiers in every head bank but the first; None takes `head`.
            cosine_scale: s of the cosine classifier.
            banks: names, the first the one used by default.
            shared_head: each head bank has one classifier for all experts.
            standardized: the neck brings each channel of the features to mean 0 and deviation 1, see `Neck`.
            hidden_units: width of each expert's hidden layer in the neck; 0: none.
        """
        wanted = standardized or hidden_units > 0
        self.neck = Neck(num_experts, feature_dim, hidden_units) if wanted else None
        self.num_classes, self.num_experts, self.feature_dim = (
            num_classes,
            num_experts,
            hidden_units or feature_dim,
        )
        self.banks = tuple(banks)
        kinds = (head, *[fresh_head or head] * (len(self.banks) - 1))
        self.heads = nn.ModuleDict(
            {
                name: ExpertHeads(num_experts, num_classes, self.feature_dim, kind, cosine_scale, shared_head)
                for name, kind in zip(self.banks, kinds, strict=True)
            }
        )

    @abstractmethod
    def backbone_features(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "n b d"]:
        """What the network itself makes of images: features of each expert, or, where all are equal, n = 1 of them."""

    def extract(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "m b d"]:
        """The experts' features h^m: what their classifiers see."""
        features = self.backbone_features(image)
        return features if self.neck is None else self.neck(features)

    @abstractmethod
    def depth(self, name: str) -> int:
        """How deep a parameter lies: 0 in the stem, s + 1 in stage s, and so on; the classifiers lie deepest."""

    @abstractmethod
    def last_maps(self) -> list[nn.Module]:
        """For each expert the module whose output (B, D, h, w) is its last map: what is pooled into its features.

        With gates this is the gated map, for that is what the classifier sees. Of a transformer, whose classifier may
        look at a token of its own alone, it is the map of the image's tokens before the last block. The modules change
        nothing; they are places where a map can be read and a gradient taken.
        """

    def is_detached(self, expert: int) -> bool:
        """Whether an expert's gradient stops before the shared stages, where there are gradients at all."""
        return torch.is_grad_enabled() and bool(self.detach_trunk) and self.detach_trunk[expert]

    def last_convolutions(self) -> list[nn.Parameter]:
        """For each expert the weight of the last convolution of its own stages, before any gate: M parameters.

        Where a network ends in linear layers (a transformer's block, ConvNeXt's), the last of those. Convolutions of
        shortcuts, gates and attention to channels do not count, nor what follows pooling. The list is empty where the
        experts own no stage: they share the last convolution, and there is nothing to tell them apart by.
        """
        stages = [cast(Sequence[nn.Module], expert.stages) for expert in self.experts]
        return [_main_path(own[-1])[-1] for own in stages if own]

    def stacked(
        self, branches: Sequence[Callable[[], Tensor]], reads: Sequence[Tensor]
    ) -> Float[Tensor, "m b d"]:
        """What the experts' branches make, side by side where a CUDA graph is recorded and streams are wanted.

        Args:
            branches: M calls, each making (B, D).
            reads: what they read.
        """
        if self.branch_streams and reads[0].is_cuda and torch.cuda.is_current_stream_capturing():
            return torch.stack(side_by_side(branches, reads))
        return torch.stack([branch() for branch in branches])

    def classify(self, features: Float[Tensor, "m b d"], bank: str | None = None) -> ModelOutput:
        """Logits of a head bank; `aux` has its weights (M, C, D) as "classifier", and as "scale" () what
        cosines are multiplied by (1 for linear classifiers).
        """
        head = self.heads[bank or self.banks[0]]
        assert isinstance(head, ExpertHeads)
        scale = head.weight.new_full((), head.scale if head.kind == "cosine" else 1.0)
        return ModelOutput(features, head(features), {"classifier": head.classifiers(), "scale": scale})

    def forward(self, image: Float[Tensor, "b c h w"], bank: str | None = None) -> ModelOutput:
        """The experts' features, and what `classify` says of them."""
        return self.classify(self.extract(image), bank)


def _main_path(stage: nn.Module) -> list[nn.Parameter]:
    """The weights of a stage's convolutions and linear layers, without those beside its main path."""
    return [
        cast(nn.Parameter, part.weight)
        for name, part in stage.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear) and SIDE_PATHS.isdisjoint(name.split("."))
    ]
