"""Builds a network from its options."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longtail.models.experts import ExpertModel
from longtail.models.options import ModelOptions
from longtail.models.resnet import ExpertResNet
from longtail.models.state_file import read_weights


def build_model(
    options: ModelOptions, num_classes: int, banks: Sequence[str], *, begin: bool = False
) -> ExpertModel:
    """A network; its random weights are drawn from torch's global generator.

    Args:
        options: which network.
        num_classes: C >= 2.
        banks: names of its head banks, one for each that a method's stages train.
        begin: bring it to the weights that `options` name to begin with; else these are not looked at.

    Raises:
        InputError: those weights cannot be had, or do not fit.
    """
    more: dict[str, Any] = {
        "shared_stages": options.shared_stages, "head": options.head, "fresh_head": options.fresh_head,
        "cosine_scale": options.cosine_scale, "banks": banks, "shared_head": options.shared_head,
        "detach_trunk": options.detach_trunk, "standardized": options.frozen, "hidden_units": options.hidden_units,
    }  # fmt: skip
    if options.is_backbone:
        return _backbone(options, num_classes, begin, more)
    layout = options.layout()
    gates = layout.small_images and not options.frozen if options.gates is None else options.gates
    model = ExpertResNet(
        layout,
        num_classes,
        options.num_experts,
        gates=gates,
        gate_init=options.gate_init,
        zero_init_residual=options.zero_init_residual,
        branch_norm=options.branch_norm,
        **more,
    )
    if begin and (options.weights or options.pretrained):
        from longtail.models import weights  # timm takes a second to load

        if options.weights:
            weights.fit_experts(model, read_weights(Path(options.weights)), options.weights)
        else:
            weights.fit_experts(model, weights.pretrained_backbone(options.name).state_dict(), options.name)
    return model


def _backbone(options: ModelOptions, num_classes: int, begin: bool, more: Mapping[str, Any]) -> ExpertModel:
    from longtail.models import backbone, weights  # timm takes a second to load

    file = Path(options.weights) if options.weights else None
    if begin and options.pretrained:
        file = weights.packaged_file(options.name)
    if begin and options.pretrained and file is None:
        net = weights.pretrained_backbone(options.name)
    else:
        net = backbone.build_backbone(options.name)
    if begin and file is not None:
        weights.fit_weights(net, read_weights(file), backbone.classifier_prefix(net), str(file))
    return backbone.ExpertBackbone(net, num_classes, options.num_experts, **more)


def count_parameters(model: ExpertModel) -> int:
    """Trainable numbers in a model with one head bank (further head banks replace the first, they do not add)."""
    spare = [head for name, head in model.heads.items() if name != model.banks[0]]
    return sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for head in spare for p in head.parameters()
    )
