"""The recipe's [model] section."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from longtail.models.resnet import FOR_SMALL_IMAGES, RESNETS
from longtail.types import InputError


class ModelOptions(BaseModel):
    """The recipe's [model] section; see `ExpertResNet` and `ExpertBackbone` for what the keys do.

    Attributes:
        name: a ResNet of ours (`RESNETS`), or a network of timm that can have experts.
        num_experts: M.
        shared_stages: stages that all experts share. Default: all but the last (of a transformer all but the last two
            blocks).
        gates: fusion gates, of our ResNets alone. Default: those for small images have them, others do not.
        head, fresh_head, cosine_scale: the classifiers.
        shared_head: one classifier for all experts.
        zero_init_residual: of our ResNets alone.
        pretrained: begin with ImageNet weights: those of an installed package that holds them, else timm's download.
        weights: begin with the weights in this file (safetensors, or a state dict).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = "resnet32"
    num_experts: int = Field(3, ge=1, le=64)
    shared_stages: int | None = Field(None, ge=0, le=1000)
    gates: bool | None = None
    head: Literal["cosine", "linear"] = "cosine"
    fresh_head: Literal["cosine", "linear"] | None = None
    cosine_scale: float = Field(30.0, gt=0, le=1e6)
    shared_head: bool = False
    zero_init_residual: bool = False
    pretrained: bool = False
    weights: str | None = None

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
    def _is_known(cls, name: str) -> str:
        if name not in RESNETS:
            from longtail.models.backbone import check_backbone  # timm takes a second to load

            check_backbone(name)
        return name

    @model_validator(mode="after")
    def _fit_together(self) -> "ModelOptions":
        if self.pretrained and self.weights:
            raise InputError("model.pretrained and model.weights both say where to begin; keep one of them")
        if self.is_backbone:
            alien = "gates" if self.gates else "zero_init_residual" if self.zero_init_residual else None
            if alien:
                raise InputError(
                    f"model.{alien} is for our own ResNets ({', '.join(RESNETS)}), not for {self.name}"
                )
        elif self.pretrained and self.is_for_small_images:
            raise InputError(
                f"there are no ImageNet weights for {self.name}; choose a network of timm, such as "
                "--model tf_efficientnet_lite0, or leave out --pretrained"
            )
        elif (self.shared_stages or 0) > (stages := len(RESNETS[self.name].widths)):
            raise InputError(
                f"model.shared_stages = {self.shared_stages} does not fit: {self.name} has {stages} stages"
            )
        return self
