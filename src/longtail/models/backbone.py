"""timm's networks with M experts: a shared trunk, and a copy of the last stages for each expert."""

import copy
import difflib
import re
from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.models.experts import ExpertModel, HeadKind
from longtail.models.families import TAKE_APART, take_apart
from longtail.models.layers import LastMap
from longtail.models.map_size import FOR_SMALL_IMAGES
from longtail.models.resnet import RESNETS
from longtail.types import InputError

POOLED_BY_ATTENTION = re.compile(r"siglip_\d|_map_|^test_vit3$")  # transformers that are not taken apart
Triple = tuple[float, float, float]


class Input(NamedTuple):
    """The images that a network was trained on.

    Attributes:
        size: side in pixels.
        mean: per channel, of images in [0, 1].
        std: per channel.
    """

    size: int
    mean: Triple
    std: Triple


def backbone_names(pattern: str = "*") -> list[str]:
    """Timm's networks that can have experts, by a shell pattern; without those that are our own under that name."""
    import timm

    names = [name for name in timm.list_models(pattern) if name not in RESNETS]
    return [name for name in names if _module(name) in TAKE_APART and not POOLED_BY_ATTENTION.search(name)]


def _shapes(name: str) -> nn.Module:
    """A network without numbers: a fraction of a second, whatever its size."""
    import timm

    with torch.device("meta"):
        net: nn.Module = timm.create_model(name, **any_size(name))
    return net


@cache
def image_multiple(name: str) -> int:
    """What the side of a network's images has to be a multiple of."""
    return _patch(_shapes(name))


@cache
def check_backbone(name: str) -> None:
    """Refuse a name that is no network of timm, or none that can have experts.

    Raises:
        InputError: with the nearest name.
    """
    if not _is_known(name):
        near = _nearest(name)
        hint = f"did you mean {near!r}?" if near else "`longtail models` lists them"
        raise InputError(f"model.name = {name!r} is no known network; {hint}")
    if _module(name) not in TAKE_APART:
        families = ", ".join(kind for kind, _ in TAKE_APART.values())
        raise InputError(
            f"model.name = {name!r} cannot have experts; families that can: {families} (`longtail models` lists them)"
        )
    try:
        take_apart(_shapes(name))
    except ValueError as reason:
        raise InputError(
            f"model.name = {name!r} cannot have experts ({reason}); `longtail models` lists those that can"
        ) from None


def _is_known(name: str) -> bool:
    """Whether timm has a network of that name, and, where the name goes on with a dot, such weights of it."""
    import timm

    try:
        return timm.is_model(name) and ("." not in name or timm.models.get_pretrained_cfg(name) is not None)
    except RuntimeError:  # of weights that it does not know
        return False


def _nearest(name: str) -> str | None:
    """The network whose name is most like a name; of equally near ones, one for small images."""

    def likeness(other: str) -> tuple[float, bool]:
        return difflib.SequenceMatcher(None, other, name).ratio(), other in FOR_SMALL_IMAGES

    near = difflib.get_close_matches(name, [*RESNETS, *backbone_names()], 8)
    return max(near, key=likeness, default=None)


def backbone_input(name: str) -> Input:
    """Size, mean and deviation of the images that timm's weights of this network were trained on."""
    import timm

    known = timm.get_pretrained_cfg(name)
    size, mean, std = (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    if known is None:
        return Input(size, mean, std)
    return Input(int(known.input_size[-1]), cast(Triple, tuple(known.mean)), cast(Triple, tuple(known.std)))


def _module(name: str) -> str:
    import timm

    entry = timm.model_entrypoint(name.split(".", maxsplit=1)[0])
    return str(entry.__module__).rsplit(".", maxsplit=1)[-1]


class _Path(nn.Module):
    """Consecutive parts of a network; keeps nothing but the last map."""

    def __init__(self, stem: nn.Module | None, stages: Sequence[nn.Module], tail: nn.Module | None) -> None:
        super().__init__()
        self.stem = stem or nn.Identity()
        self.stages = nn.ModuleList(stages)
        self.tail = tail or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        out: Tensor = self.tail(x)
        return out


class ExpertBackbone(ExpertModel):
    """A network of timm in which M experts own the last stages, all starting as equal copies.

    Args:
        net: the network, with whatever weights; used up.
        num_classes: C.
        num_experts: M >= 1.
        shared_stages: how many of its stages all experts share; None: all but the last, of transformers all but the
            last two blocks. 0 shares the stem alone.
        head: kind of classifier, see `ExpertHeads`.
        fresh_head: kind of the classifiers in every head bank but the first; None takes `head`.
        cosine_scale: s of the cosine classifier.
        banks: names of the classifier banks.
        shared_head: each head bank has one classifier for all experts.
        detach_trunk: for each expert whether its gradient stops before the stem and stages that are shared; empty: none
            does.
        standardized, hidden_units: of the neck, see `add_heads`; before one that standardises, all stages are shared.

    Raises:
        InputError: the network has fewer stages than are to be shared, or is of no known family.
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        num_experts: int,
        *,
        shared_stages: int | None = None,
        head: HeadKind = "cosine",
        fresh_head: HeadKind | None = None,
        cosine_scale: float = 30.0,
        banks: Sequence[str] = ("first",),
        shared_head: bool = False,
        detach_trunk: Sequence[bool] = (),
        standardized: bool = False,
        hidden_units: int = 0,
    ) -> None:
        super().__init__()
        dim = int(cast(Any, net).head_hidden_size)
        self.image_multiple = _patch(net)
        try:
            parts = take_apart(net)
        except ValueError as reason:
            raise InputError(f"this network cannot have experts ({reason}); choose another --model") from None
        self.num_stages = len(parts.stages)
        usual = self.num_stages if standardized else self.num_stages - parts.owned
        shared = usual if shared_stages is None else shared_stages
        if shared > self.num_stages:
            raise InputError(
                f"model.shared_stages = {shared} does not fit: this network has {self.num_stages} stages"
            )
        self.shared_stages = shared
        self.trunk = _Path(parts.stem, parts.stages[:shared], None)
        first = _Path(None, parts.stages[shared:], parts.tail)
        self.experts = nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(num_experts - 1))])
        self.detach_trunk = tuple(detach_trunk)
        self.add_heads(
            num_classes, num_experts, dim,
            head=head, fresh_head=fresh_head, cosine_scale=cosine_scale, banks=banks, shared_head=shared_head,
            standardized=standardized, hidden_units=hidden_units,
        )  # fmt: skip

    def backbone_features(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "m b d"]:
        """The experts' features h^m: what the network's own classifier would see."""
        shared = self.trunk(image)
        return self.stacked(
            [partial(self._branch, expert, shared) for expert in range(self.num_experts)], [shared]
        )

    def depth(self, name: str) -> int:
        parts = name.split(".")
        if parts[0] in ("heads", "neck"):
            return self.num_stages + 1
        if parts[0] == "trunk":
            return 0 if parts[1] == "stem" else int(parts[2]) + 1
        return self.num_stages if parts[2] == "tail" else self.shared_stages + int(parts[3]) + 1

    def last_maps(self) -> list[nn.Module]:
        return [
            next(part for part in (*expert.modules(), *self.trunk.modules()) if isinstance(part, LastMap))
            for expert in self.experts
        ]

    def _branch(self, expert: int, shared: Tensor) -> Float[Tensor, "b d"]:
        vector: Tensor = self.experts[expert](shared.detach() if self.is_detached(expert) else shared)
        return vector.to(torch.promote_types(vector.dtype, torch.float32))


def build_backbone(name: str) -> nn.Module:
    """A single network of timm with random weights, for images of any size."""
    import timm

    net: nn.Module = timm.create_model(name, **any_size(name))
    return net


def any_size(name: str) -> dict[str, Any]:
    """What lets a network take images of any size."""
    return {"dynamic_img_size": True} if _module(name) == "vision_transformer" else {}


def _patch(net: nn.Module) -> int:
    """The side in pixels of the patches that a transformer cuts images into; 1 for other networks."""
    cut = getattr(net, "patch_embed", None)
    return 1 if cut is None else int(cut.patch_size[0])


def classifier_prefix(net: nn.Module) -> str:
    """What the names of the network's own classifier begin with."""
    known = getattr(net, "pretrained_cfg", {}) or {}
    return str(known.get("classifier") or "")
