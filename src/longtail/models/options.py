"""The recipe's [model] section."""

import math
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from longtail.models.layers import GateInit, ShortcutKind
from longtail.models.map_size import FOR_SMALL_IMAGES
from longtail.models.resnet import RESNETS, Layout
from longtail.types import InputError

OURS = (
    "gates",
    "gate_init",
    "branch_norm",
    "zero_init_residual",
    "width_factor",
    "expert_width_factor",
    "shortcut",
)
"""Keys that timm's networks do not have."""
UNLIKE_IMAGENET = ("width_factor", "expert_width_factor", "shortcut")
"""Keys that make another network of one that there are ImageNet weights for."""
NOT_FROZEN = ("shared_stages", "gates", "branch_norm", "zero_init_residual", "detach_trunk")
"""Keys of layers that a frozen backbone does not train."""
CHECKED = "checked"
"""In the context of a validation: the options were valid before, so that timm is not asked for the network's name."""


class ModelOptions(BaseModel):
    """The recipe's [model] section; see `ExpertResNet` and `ExpertBackbone` for what the keys do.

    Attributes:
        name: a ResNet of ours (`RESNETS`), or a network of timm that can have experts.
        num_experts: M.
        shared_stages: stages that all experts share. Default: all but the last (of a transformer all but the last two
            blocks).
        gates: fusion gates, of our ResNets alone. Default: those for small images have them, others do not.
        gate_init: how the gates' convolutions begin, see `FusionGate`.
        head, fresh_head, cosine_scale: the classifiers.
        shared_head: one classifier for all experts.
        detach_trunk: for each expert whether its gradient stops before the shared stages; empty: none does.
        branch_norm: of our ResNets alone, where all stages are shared: each expert's own batch norm on the last map.
        zero_init_residual: of our ResNets alone.
        width_factor: of our ResNets alone: channels of the stem and all stages, relative to the usual (GLMC: 4).
        expert_width_factor: of our ResNets alone: channels of the experts' own stages besides (RIDE, SADE: 0.75).
        shortcut: of our ResNets alone: B is a 1x1 convolution, A has nothing to learn (LDAM's code and its heirs).
        pretrained: begin with ImageNet weights: those of an installed package that holds them, else timm's download.
        weights: begin with the weights in this file (safetensors, or a state dict).
        frozen: the backbone stays as it begins, statistics included, in every stage: its features of each image are
            computed once, brought to mean 0 and deviation 1, and classifiers trained on them. All stages are shared.
        hidden_units: width of a hidden layer (ReLU) of each expert's own between its features and its classifier, which
            makes the classifier a small MLP; 0: none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = "resnet32"
    num_experts: int = Field(3, ge=1, le=64)
    shared_stages: int | None = Field(None, ge=0, le=1000)
    gates: bool | None = None
    gate_init: GateInit = "kaiming_normal"
    head: Literal["cosine", "linear"] = "cosine"
    fresh_head: Literal["cosine", "linear"] | None = None
    cosine_scale: float = Field(30.0, gt=0, le=1e6)
    shared_head: bool = False
    detach_trunk: tuple[bool, ...] = Field(
        default=(), strict=False
    )  # lax because TOML has lists; items stay strict
    branch_norm: bool = False
    zero_init_residual: bool = False
    width_factor: float = Field(1.0, gt=0, le=16)
    expert_width_factor: float = Field(1.0, gt=0, le=16)
    shortcut: ShortcutKind = "B"
    pretrained: bool = False
    weights: str | None = None
    frozen: bool = False
    hidden_units: int = Field(0, ge=0, le=65_536)

    @property
    def is_backbone(self) -> bool:
        """Whether the network is one of timm's."""
        return self.name not in RESNETS

    @property
    def is_for_small_images(self) -> bool:
        """Whether the network takes images of some 32 pixels; there are no ImageNet weights for it."""
        return self.name in FOR_SMALL_IMAGES

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str, info: Any) -> str:
        context: dict[str, bool] = info.context or {}  # of pydantic's ValidationInfo
        if name not in RESNETS and not context.get(CHECKED):
            from longtail.models.backbone import check_backbone  # timm takes a second to load

            check_backbone(name)
        return name

    def layout(self) -> Layout:
        """What a ResNet of ours is built by, with the widths and shortcuts asked for."""
        usual = RESNETS[self.name]
        shared = usual.shared(self.shared_stages)
        scaled = usual.scaled(self.width_factor, self.expert_width_factor, shared)
        return replace(scaled, shortcut=self.shortcut)

    @model_validator(mode="after")
    def _fit_together(self) -> "ModelOptions":
        if self.pretrained and self.weights:
            raise InputError("model.pretrained and model.weights both say where to begin; keep one of them")
        self._check_detached()
        self._check_frozen()
        if self.is_backbone:
            alien = next((key for key in OURS if getattr(self, key) and self._differs(key)), None)
            if alien:
                raise InputError(
                    f"model.{alien} is for our own ResNets ({', '.join(RESNETS)}), not for {self.name}"
                )
        else:
            self._check_resnet()
        return self

    def _check_frozen(self) -> None:
        """Refuse what trains, or divides between experts, layers that are frozen."""
        alien = next(
            (key for key in NOT_FROZEN if self._differs(key) and getattr(self, key) is not False), None
        )
        if self.frozen and alien:
            raise InputError(
                f"model.frozen = true leaves every layer before the classifiers as it is, so that model.{alien} has no "
                "use; leave one of them out"
            )

    def _differs(self, key: str) -> bool:
        return bool(getattr(self, key) != type(self).model_fields[key].default)

    def _check_detached(self) -> None:
        given = len(self.detach_trunk)
        if given not in (0, self.num_experts):
            raise InputError(
                f"model.detach_trunk has {given} of {self.num_experts} entries; give one for each expert, or none"
            )
        if given and all(self.detach_trunk):
            raise InputError(
                "model.detach_trunk stops the gradients of all experts, so that nothing would train the shared stages; "
                "leave one false"
            )
        if any(self.detach_trunk) and self.shared_stages == 0 and not self.is_backbone:
            raise InputError(
                "model.detach_trunk stops gradients before the shared stages, and model.shared_stages = 0 shares none; "
                "share some, or leave it out"
            )

    def _check_resnet(self) -> None:
        if self.pretrained and self.is_for_small_images:
            ours = (
                "or give --weights FILE, or leave out --frozen, which keeps a network as it is"
                if self.frozen
                else "or leave out --pretrained (model.pretrained = false)"
            )
            raise InputError(
                f"there are no ImageNet weights for {self.name}; choose a network of timm, such as "
                f"--model tf_efficientnet_lite0, {ours}"
            )
        if (self.shared_stages or 0) > (stages := len(RESNETS[self.name].widths)):
            raise InputError(
                f"model.shared_stages = {self.shared_stages} does not fit: {self.name} has {stages} stages"
            )
        changed = next((key for key in UNLIKE_IMAGENET if self._differs(key)), None)
        if self.pretrained and changed:
            raise InputError(
                f"there are no ImageNet weights for {self.name} with another model.{changed}; "
                "leave it out, or leave out --pretrained"
            )
        if self.branch_norm and RESNETS[self.name].shared(self.shared_stages) < stages:
            raise InputError(
                "model.branch_norm gives each expert a batch norm on the last shared map, so that all stages have "
                f"to be shared; set model.shared_stages = {stages}"
            )
        self._check_widths()

    def _check_widths(self) -> None:
        usual = RESNETS[self.name]
        shared = usual.shared(self.shared_stages)
        if shared == len(usual.widths) and self._differs("expert_width_factor"):
            raise InputError(
                "model.expert_width_factor is of the experts' own stages, and model.shared_stages = "
                f"{shared} leaves them none; share fewer, or take model.width_factor"
            )
        _check_factor("width_factor", self.width_factor, usual, 0)
        if shared < len(usual.widths):
            wide = usual.scaled(self.width_factor, 1.0, shared)
            _check_factor("expert_width_factor", self.expert_width_factor, wide, shared)
        layout = self.layout()
        if self.shortcut == "A" and list(layout.widths) != sorted(layout.widths):
            raise InputError(
                f"model.shortcut = 'A' cannot leave channels out, and these widths fall ({layout.widths}); "
                "take a larger model.expert_width_factor, or shortcut B"
            )


def _check_factor(key: str, factor: float, layout: Layout, stage: int) -> None:
    """Refuse a factor that does not give a stage, and with it those after it, a number of channels that it can have."""
    steps = layout.widths[stage] / layout.unit
    if round(factor * steps) < 1 or abs(factor * steps - round(factor * steps)) > 1e-4:
        near = sorted({max(1, math.floor(factor * steps)), math.ceil(factor * steps)})
        raise InputError(
            f"model.{key} = {factor:g} makes stage {stage + 1} {layout.widths[stage] * factor:g} channels wide, and "
            f"they come in multiples of {layout.unit}; take {' or '.join(f'{n / steps:.9g}' for n in near)}"
        )
