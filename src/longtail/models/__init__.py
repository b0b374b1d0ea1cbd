"""Networks with M experts. They know no loss; whatever they are, they answer with `ModelOutput` (M, B, ...)."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from longtail.models.layers import ExpertHeads, fold_batch_norm
from longtail.models.resnet_cifar import ExpertResNet

__all__ = [
    "DEPTHS",
    "ExpertHeads",
    "ExpertResNet",
    "ModelOptions",
    "build_model",
    "count_parameters",
    "fold_batch_norm",
]

DEPTHS = {"resnet20": 20, "resnet32": 32, "resnet44": 44, "resnet56": 56}


class ModelOptions(BaseModel):
    """The recipe's [model] section; see `ExpertResNet` for what each key does."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Literal["resnet20", "resnet32", "resnet44", "resnet56"] = "resnet32"
    num_experts: int = Field(3, ge=1, le=64)
    shared_stages: int = Field(2, ge=0, le=3)
    gates: bool = True
    head: Literal["cosine", "linear"] = "cosine"
    fresh_head: Literal["cosine", "linear"] | None = None
    cosine_scale: float = Field(30.0, gt=0)
    zero_init_residual: bool = False


def build_model(options: ModelOptions, num_classes: int, banks: Sequence[str]) -> ExpertResNet:
    """A network with fresh weights, drawn from torch's global generator.

    Args:
        options: which network.
        num_classes: C >= 2.
        banks: names of its banks of classifiers, one for each that a method's stages train.
    """
    return ExpertResNet(
        DEPTHS[options.name],
        num_classes,
        options.num_experts,
        shared_stages=options.shared_stages,
        gates=options.gates,
        head=options.head,
        fresh_head=options.fresh_head,
        cosine_scale=options.cosine_scale,
        zero_init_residual=options.zero_init_residual,
        banks=banks,
    )


def count_parameters(model: ExpertResNet) -> int:
    """Trainable numbers in a model with one bank of classifiers (further banks replace the first, they do not add)."""
    spare = [head for name, head in model.heads.items() if name != model.banks[0]]
    return sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for head in spare for p in head.parameters()
    )
