"""The cost of computing a network, in floating point operations."""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from longtail.models import build_model
from longtail.models.options import ModelOptions

SMALL_SIDE = 32  # pixels that our networks for small images are made for


@cache
def flop_per_pixel(options: ModelOptions) -> float:
    """Floating point operations of a forward pass to the features of all experts, by pixel of the image.

    Counted with a network without numbers, which takes a fraction of a second, at the size that it was made for.

    >>> round(flop_per_pixel(ModelOptions(name="resnet32", num_experts=1)) * 32**2 / 1e6)  # millions
    143
    """
    side = SMALL_SIDE
    if not options.is_for_small_images:
        from longtail.models.backbone import backbone_input  # timm takes a second to load

        side = backbone_input(options.name).size
    with torch.device("meta"):
        model = build_model(options, 2, ["first"]).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.extract(torch.empty(1, 3, side, side, device="meta"))
    return float(counter.get_total_flops()) / side**2
